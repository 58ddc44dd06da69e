/** `npm run sdk`: makes sdk/ out of src/client: the bundle for pages and Node.js (ESM and UMD) and its types. test/repo/sdk.test.ts fails where they differ. */
import { build } from 'esbuild'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { LEAVE_REASONS, ROOM_KINDS } from '../src/protocol/frames.ts'

const LICENSE = '/*! turnpike-client, Apache-2.0 */'
/** What the published types are made of, in this order; of frames.ts what is named. */
const TYPES_OF = [
  { file: 'src/protocol/frames.ts', only: ['IceServer', 'Metadata', 'PeerInfo', 'PeerView'] },
  { file: 'src/client/stats-in-words.ts', only: ['Path'] },
  { file: 'src/client/outbox.ts', only: ['Undelivered'] },
  { file: 'src/client/events.ts', only: ['EventOf'] },
  { file: 'src/client/client-error.ts', only: null },
  { file: 'src/client/api.ts', only: null },
  { file: 'src/client/client.ts', only: ['join'] },
] as const

async function bundle (): Promise<string> {
  const { outputFiles } = await build({ entryPoints: ['src/client/client.ts'], bundle: true, write: false, minify: true, charset: 'utf8', target: 'es2022', format: 'esm' })
  return outputFiles[0]?.text.trim() ?? ''
}

/** For require(), AMD loaders, and pages without modules, where it is the global `Turnpike`. What the module exports is what it returns: shorter than what esbuild makes. */
function asUmd (esm: string): string {
  const [exported = '', names = ''] = /export\{([^}]*)\};$/.exec(esm) ?? []
  const returned = names.replace(/([^,]+) as ([^,]+)/g, '$2:$1')
  return `${LICENSE}\n((root,make)=>{typeof module==="object"&&module.exports?module.exports=make():typeof define==="function"&&define.amd?define([],make):root.Turnpike=make()})(globalThis,()=>{"use strict";${esm.slice(0, esm.length - exported.length)}return{${returned}}});\n`
}

/** The declarations of a file, all or those that are named, without its imports: in one file everybody sees them. */
function declarationsOf (file: string, only: readonly string[] | null): string {
  const { outputText } = ts.transpileDeclaration(readFileSync(file, 'utf8'), { fileName: file, compilerOptions: { target: ts.ScriptTarget.ES2022, strict: true } })
  const source = ts.createSourceFile('made.d.ts', outputText, ts.ScriptTarget.Latest, true)
  const isWanted = (statement: ts.Statement): boolean => {
    if (!ts.isTypeAliasDeclaration(statement) && !ts.isInterfaceDeclaration(statement) && !ts.isClassDeclaration(statement) && !ts.isFunctionDeclaration(statement)) return false
    const isExported = statement.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true
    return isExported && (only === null || only.includes(statement.name?.text ?? ''))
  }
  return source.statements.filter(isWanted).map(statement => statement.getFullText(source).trim()).join('\n')
}

function types (): string {
  const union = (values: readonly string[]): string => values.map(value => `'${value}'`).join(' | ')
  const written = [
    '/** A code of docs/errors.md, as the server said it. There may be more one day. */\nexport type ErrorCode = string & {};',
    "/** What a client should do about an error: give up, wait and try again, or connect again at once. */\nexport type Retry = 'never' | 'backoff' | 'now';",
    `export type RoomKind = ${union(ROOM_KINDS)};`,
    `export type LeaveReason = ${union(LEAVE_REASONS)};`,
  ]
  return `${[LICENSE, ...written, ...TYPES_OF.map(({ file, only }) => declarationsOf(file, only))].join('\n')}\n`
}

/** Every file that is made, as it should be. */
export async function sdkFiles (): Promise<{ file: string, text: string }[]> {
  const esm = await bundle()
  return [
    { file: 'sdk/turnpike.js', text: `${LICENSE}\n${esm}\n` },
    { file: 'sdk/turnpike.umd.cjs', text: asUmd(esm) },
    { file: 'sdk/turnpike.d.ts', text: types() },
  ]
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync('sdk', { recursive: true })
  for (const { file, text } of await sdkFiles()) writeFileSync(file, text)
}
