/** Who may import whom. The table in docs/architecture.md is made from RULES and OWNERS here. */
import { readFileSync, globSync } from 'node:fs'
import { posix } from 'node:path'
import ts from 'typescript'
import { expect, test } from 'vitest'
import { DOORS, OWNERS, RULES, folderOf } from './import-rules.ts'

type Import = { to: string, typeOnly: boolean }

const files = globSync('**/*.ts', { cwd: 'src' }).map(file => file.replaceAll('\\', '/')).sort()

function importsOf (file: string): Import[] {
  const source = ts.createSourceFile(file, readFileSync(`src/${file}`, 'utf8'), ts.ScriptTarget.Latest)
  const found: Import[] = []
  const visit = (node: ts.Node): void => {
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier !== undefined) {
      const typeOnly = ts.isImportDeclaration(node) ? isTypeOnly(node.importClause) : node.isTypeOnly
      found.push({ to: (node.moduleSpecifier as ts.StringLiteral).text, typeOnly })
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [target] = node.arguments
      found.push({ to: target !== undefined && ts.isStringLiteral(target) ? target.text : '(computed)', typeOnly: false })
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

function isTypeOnly (clause: ts.ImportClause | undefined): boolean {
  return clause?.phaseModifier === ts.SyntaxKind.TypeKeyword
}

function breaches (file: string): string[] {
  const from = folderOf(file)
  return importsOf(file).flatMap(({ to, typeOnly }) => {
    if (!to.startsWith('.')) return packageBreach(file, to, typeOnly)
    const target = posix.join(posix.dirname(file), to)
    const folder = folderOf(target)
    if (folder === from) return []
    const rules: readonly string[] = RULES[from] ?? []
    const allowed = rules.includes(folder) || (typeOnly && rules.includes(`type ${folder}`))
    const isSubject = DOORS.some(door => door.startsWith(`${folder}/`))
    return [
      ...(allowed ? [] : [`${file}: ${from} may not import ${folder}${typeOnly ? '' : ' (values)'}`]),
      ...(isSubject && !DOORS.includes(target) ? [`${file}: ${target} is private to ${folder}`] : []),
    ]
  })
}

function packageBreach (file: string, to: string, typeOnly: boolean): string[] {
  const name = Object.keys(OWNERS).find(owned => to === owned || to.startsWith(`${owned}/`))
  if (name === undefined) return to.startsWith('node:') ? [] : [`${file}: ${to} has no owner yet; add it to the table`]
  const owners = OWNERS[name] ?? []
  const mine = owners.some(owner => file.startsWith(owner.replace('type ', '')) && (typeOnly || !owner.startsWith('type ')))
  return mine ? [] : [`${file}: ${to} belongs to ${owners.join(', ')}`]
}

test('imports go down the rings only, through doors only, and each package has one owner', () => {
  expect(files.length).toBeGreaterThan(40)
  expect(files.flatMap(breaches)).toEqual([])
})

test('no file imports itself through others', () => {
  const edges = new Map(files.map(file => [file, importsOf(file).filter(i => i.to.startsWith('.')).map(i => posix.join(posix.dirname(file), i.to))]))
  const state = new Map<string, 'open' | 'done'>()
  const cycles: string[] = []
  const walk = (file: string, path: string[]): void => {
    if (state.get(file) === 'open') cycles.push([...path.slice(path.indexOf(file)), file].join(' -> '))
    if (state.has(file)) return
    state.set(file, 'open')
    for (const next of edges.get(file) ?? []) walk(next, [...path, file])
    state.set(file, 'done')
  }
  for (const file of files) walk(file, [])
  expect(cycles).toEqual([])
})

test('the environment is read in one file, and SQL stands in records files only', () => {
  const texts = files.map(file => ({ file, text: readFileSync(`src/${file}`, 'utf8') }))
  expect(texts.filter(({ text }) => text.includes('process.env')).map(({ file }) => file)).toEqual(['cli/commands.ts'])
  const sql = /\b(SELECT .+ FROM|INSERT INTO|UPDATE \w+ SET|DELETE FROM|CREATE TABLE)\b/
  expect(texts.filter(({ file, text }) => sql.test(text) && !/(^|\/)records\.ts$|^store\//.test(file)).map(({ file }) => file)).toEqual([])
})
