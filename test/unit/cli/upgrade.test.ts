import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Deployment, Upgrading } from '../../../src/cli/deployment/deployment.ts'
import { createPrograms } from '../../../src/cli/deployment/programs.ts'
import { oneAtATime } from '../../../src/cli/deployment/undisturbed.ts'
import { upgrade } from '../../../src/cli/deployment/upgrade.ts'
import { cleanUpAfterFile, whenDone } from '../../kit/cleanup.ts'
import { run, signalGroup } from '../../kit/command.ts'
import { scratchDirectory } from '../../kit/files.ts'

cleanUpAfterFile()

type Faults = Partial<Upgrading> & { hopeless?: Deployment['hopeless'], readiness?: Deployment['readiness'] }
const finding = (check: string, result: string): object => ({ subject: 'relay', check, result })
const well = [finding('probe', 'ok')]

let runs = 0
/** What an upgrade does, in order; `looks` is what the doctor finds, look by look, the last one for ever. */
async function upgraded (looks: readonly (readonly object[] | 'no answer')[], faults: Faults = {}): Promise<{ done: string[], outcome: unknown, said: string }> {
  const done: string[] = []
  const said: string[] = []
  const { hopeless = async () => null, readiness = async () => ({ ready: true, relay: { ready: true }, store: { ready: true } }), ...steps } = faults
  const step = <T>(name: string, answer: T) => async (): Promise<T> => {
    done.push(name)
    return answer
  }
  const all: Upgrading = { name: () => `test-${process.pid}-${runs}`, prepare: async () => 'brought', whyCallsEnd: async () => null, backups: '/backups', backUp: step('back up', undefined), listBackups: async () => [], deleteBackups: async names => { done.push(`delete ${names.join()}`) }, switchOver: step('switch', undefined), rollBack: step('roll back', undefined), byHand: backup => [`type ${backup}`], keep: step('keep', undefined) }
  runs++
  const later = [...looks]
  const none = async (): Promise<never> => { throw new Error('not asked for here') }
  const one: Deployment = {
    kind: 'systemd',
    commandLine: 'turnpike',
    isThere: none,
    domain: () => null,
    troubles: none,
    trace: () => null,
    start: none,
    remember: none,
    readiness,
    hopeless,
    summary: none,
    parts: none,
    logs: none,
    uninstall: none,
    turnpike: async () => {
      const look = later.length > 1 ? later.shift() : later[0]
      return look === 'no answer' ? { code: 1, out: '', err: 'gone' } : { code: 0, out: JSON.stringify({ findings: look }), err: '' }
    },
    upgrading: { ...all, ...steps },
  }
  const outcome = await upgrade(one, line => said.push(line), 1).catch((reason: unknown) => reason)
  return { done, outcome, said: said.join('\n') }
}

const KEPT = ['back up', 'switch', 'keep']
const UNDONE = ['back up', 'switch', 'roll back']

test.each([
  ['it is well', [well]],
  ['what failed before fails still', [[finding('probe', 'failed')]]],
  ['the new version looks at more, and finds that wanting', [well, [...well, finding('new', 'failed')]]],
  ['the old doctor could not be asked', ['no answer' as const, [finding('probe', 'failed')]]],
  ['what failed passes by itself', [well, [finding('probe', 'failed')], [finding('probe', 'failed')], well]],
])('an upgrade is kept where %s', async (_what, looks) => {
  expect(await upgraded(looks)).toMatchObject({ done: KEPT, outcome: true })
})

test('what the old doctor did not look at is told', async () => {
  expect((await upgraded([well, [finding('new', 'failed')]])).said).toContain('new of relay')
})

test('it is undone where the doctor goes on finding what was well, and where the switch or the waiting fails', async () => {
  const undone = (why: string): object => ({ done: UNDONE, outcome: expect.objectContaining({ code: 'upgrade-rolled-back', message: expect.stringContaining(why) }) })
  expect(await upgraded([well, [finding('probe', 'failed')]])).toMatchObject(undone('probe of relay'))
  const breaks = async (): Promise<void> => { await createPrograms({}, '/').output('/bin/false', []) }
  expect(await upgraded([well], { switchOver: breaks })).toMatchObject({ done: ['back up', 'roll back'], outcome: { code: 'upgrade-rolled-back', message: expect.stringContaining('/bin/false') } })
  // The engine does not answer for a moment; and an error of no kind of ours.
  expect(await upgraded([well], { readiness: async () => null, hopeless: async () => { throw new Error('deadline exceeded') } })).toMatchObject(undone('deadline exceeded'))
})

test('a database that cannot be put back is told with what to type, and with what failed first', async () => {
  const { outcome, done } = await upgraded([well, [finding('probe', 'failed')]], { rollBack: async () => { throw new Error('the disk is full') } })
  expect(done).toEqual(['back up', 'switch'])
  expect(outcome).toMatchObject({ code: 'rollback-failed', message: expect.stringMatching(/^the doctor finds[^]*probe of relay[^]*the disk is full[^]*\/backups\/upgrade-[\dTZ-]+\.db[^]*\n {4}type upgrade-[\dTZ-]+\.db$/) })
})

test('the version that runs already is not put in its own place; a record that cannot be written is no failure', async () => {
  expect(await upgraded([well], { prepare: async () => 'runs already' })).toMatchObject({ done: [], outcome: false })
  const unkept = await upgraded([well], { keep: async () => { throw new Error('ENOSPC') } })
  expect(unkept).toMatchObject({ outcome: true, said: expect.stringContaining('ENOSPC') })
})

test('backups of earlier upgrades go once there is a new one; those that cannot be listed keep nobody from upgrading', async () => {
  const old = Array.from({ length: 6 }, (_, i) => `upgrade-2026-11-2${i}T04-05-06-007Z.db`)
  expect((await upgraded([well], { listBackups: async () => old })).done).toEqual(['back up', `delete ${old[0]}`, 'switch', 'keep'])
  expect(await upgraded([well], { listBackups: async () => { throw new Error('EIO') } })).toMatchObject({ done: KEPT, outcome: true, said: expect.stringContaining('EIO') })
})

test('two upgrades of one deployment are not under way at a time, and a failed one leaves nothing held', async () => {
  const name = `upgrade-test-${process.pid}`
  const inner = oneAtATime(name, async () => await oneAtATime(name, async () => 'both'))
  await expect(inner).rejects.toMatchObject({ code: 'deployment-failed', message: expect.stringContaining('another upgrade') })
  expect(await oneAtATime(name, async () => 'free again')).toBe('free again')
})

test('Ctrl-C and a lost terminal do not end it, nor the programs that it runs', async () => {
  const directory = scratchDirectory()
  const [go, done] = [join(directory, 'go'), join(directory, 'done')]
  execFileSync('mkfifo', [go])
  // Both ways, so that it waits for no reader.
  const gate = openSync(go, 'r+')
  whenDone(() => closeSync(gate))
  const urlOf = (file: string): string => new URL(`../../../src/cli/deployment/${file}`, import.meta.url).href
  const script = `
    const { undisturbed } = await import('${urlOf('undisturbed.ts')}')
    const { createPrograms } = await import('${urlOf('programs.ts')}')
    const { writeFileSync } = await import('node:fs')
    await undisturbed(line => process.stderr.write(line + '\\n'), async () => await createPrograms(process.env, '/').show('sh', ['-c', 'echo begun >&2; read line <${go}; echo ends >&2']))
    writeFileSync('${done}', 'by itself')`
  const running = run(process.execPath, ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', script], {})
  await running.until('begun')
  signalGroup(running.child, 'SIGINT')
  await running.until('SIGINT is not heard')
  // The terminal is gone: what is written there fails from now on.
  running.child.stdout?.destroy()
  running.child.stderr?.destroy()
  signalGroup(running.child, 'SIGHUP')
  writeSync(gate, 'go\n')
  expect(await running.exit).toEqual({ code: 0, signal: null })
  expect(readFileSync(done, 'utf8')).toBe('by itself')
})
