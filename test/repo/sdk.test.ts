/** The SDK as it is handed out: in step with its sources, small, and usable by those who have only these files. */
import { execFileSync } from 'node:child_process'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { runInNewContext } from 'node:vm'
import { gzipSync } from 'node:zlib'
import ts from 'typescript'
import { expect, test } from 'vitest'
import { sdkFiles } from '../../scripts/sdk.ts'
import { scratchDirectory } from '../kit/files.ts'

const MOST_GZIPPED = 8000

test('what is in sdk/ is made of what is in src/client (npm run sdk)', async () => {
  const made = await sdkFiles()
  expect(made.map(({ file }) => file)).toEqual(['sdk/turnpike.js', 'sdk/turnpike.umd.cjs', 'sdk/turnpike.d.ts'])
  for (const { file, text } of made) expect(readFileSync(file, 'utf8'), file).toBe(text)
})

test('the bundle has less than 8 kB when it is compressed, and needs nothing else', () => {
  const text = readFileSync('sdk/turnpike.js', 'utf8')
  expect(gzipSync(text, { level: 9 }).length).toBeLessThan(MOST_GZIPPED)
  expect(gzipSync(readFileSync('sdk/turnpike.umd.cjs'), { level: 9 }).length).toBeLessThan(MOST_GZIPPED)
  expect(text).not.toMatch(/\bimport\b|\brequire\b/)
  const about = JSON.parse(readFileSync('sdk/package.json', 'utf8')) as Record<string, unknown>
  const product = JSON.parse(readFileSync('package.json', 'utf8')) as Record<string, unknown>
  expect(about['version']).toBe(product['version'])
  expect(about['dependencies']).toBeUndefined()
})

test('the call page is made with it in less than 120 lines', () => {
  expect(readFileSync('src/console/call.ts', 'utf8').trimEnd().split('\n').length).toBeLessThan(120)
})

/** As npm would install it. */
function installed (): string {
  const directory = scratchDirectory()
  const packed = JSON.parse(execFileSync('npm', ['pack', './sdk', '--json', '--pack-destination', directory], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })) as { filename: string, files: { path: string }[] }[]
  const [{ filename, files } = { filename: '', files: [] }] = packed
  expect(files.map(({ path }) => path).sort()).toEqual(['LICENSE', 'README.md', 'package.json', 'turnpike.d.ts', 'turnpike.js', 'turnpike.umd.cjs'])
  execFileSync('tar', ['-xzf', join(directory, filename), '-C', directory])
  cpSync(join(directory, 'package'), join(directory, 'node_modules/turnpike-client'), { recursive: true })
  return directory
}

test('the package that npm packs is imported, required, loaded by a script tag, and its types hold what the API promises', async () => {
  const directory = installed()
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}')
  writeFileSync(join(directory, 'esm.js'), "import { join, TurnpikeClientError } from 'turnpike-client'\nconsole.log(typeof join, new TurnpikeClientError('left', 'x').code)")
  expect(execFileSync(process.execPath, [join(directory, 'esm.js')], { encoding: 'utf8' })).toBe('function left\n')
  const required = createRequire(join(directory, 'esm.js'))('turnpike-client') as { join: unknown }
  expect(typeof required.join).toBe('function')
  // Without modules it is a global.
  const page: { Turnpike?: { join: unknown } } = {}
  runInNewContext(readFileSync('sdk/turnpike.umd.cjs', 'utf8'), page)
  expect(typeof page.Turnpike?.join).toBe('function')
  const program = join(directory, 'program.ts')
  writeFileSync(program, `import { join, TurnpikeClientError, type Connection } from 'turnpike-client'
const room = await join({ url: 'wss://turnpike.example/v1/signal', getToken: async () => 'token' })
for await (const event of room.events()) {
  if (event.type === 'peer-joined') {
    const connection: Connection = room.connect(event.detail.id)
    connection.on('track', ({ track }) => track.stop())
    connection.channel('chat').send('hello')
  }
  if (event.type === 'closed' && event.detail instanceof TurnpikeClientError) console.log(event.detail.retry)
  // @ts-expect-error There is no such event.
  if (event.type === 'nothing') break
}
`)
  const compiled = ts.createProgram([program], { strict: true, exactOptionalPropertyTypes: true, noEmit: true, target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.NodeNext, lib: ['lib.es2022.d.ts', 'lib.dom.d.ts', 'lib.dom.asynciterable.d.ts'], types: [] })
  expect(ts.getPreEmitDiagnostics(compiled).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))).toEqual([])
})
