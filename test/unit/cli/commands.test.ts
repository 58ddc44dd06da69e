import { expect, onTestFinished, test, vi } from 'vitest'
import { runCommand } from '../../../src/cli/commands.ts'
import { describeFailure, exitCodeOf } from '../../../src/cli/failure.ts'
import { ERRORS, TurnpikeError } from '../../../src/protocol/errors.ts'

/** Runs a command in this process and gives what it wrote. */
async function command (args: string[], env: Record<string, string> = {}): Promise<{ code: number, out: string, err: string }> {
  const written = { out: '', err: '' }
  const spies = [
    vi.spyOn(process.stdout, 'write').mockImplementation(text => { written.out += String(text); return true }),
    vi.spyOn(process.stderr, 'write').mockImplementation(text => { written.err += String(text); return true }),
  ]
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
  const restore = (): void => {
    spies.forEach(spy => spy.mockRestore())
    vi.unstubAllEnvs()
  }
  onTestFinished(restore)
  const code = await runCommand(args)
  restore()
  return { code, ...written }
}

test.each([[[]], [['help']], [['--help']]])('%j explains the commands', async args => {
  const { code, out } = await command(args)
  expect(code).toBe(0)
  for (const name of ['serve', 'config', 'version', 'keys create', 'credentials revoke', 'backup', 'docs/configuration.md']) expect(out).toContain(name)
})

test('a command explains itself, and a group all of its own', async () => {
  expect(await command(['serve', '--help'])).toMatchObject({ code: 0, out: expect.stringContaining('--install-relay') })
  const keys = await command(['keys', 'create', '-h'])
  expect(keys.out).toContain('--scopes <list>')
  expect(keys.out).not.toContain('keys revoke')
  expect(await command(['keys'])).toMatchObject({ code: 64, err: expect.stringMatching(/keys what\?[^]*keys create[^]*keys revoke/) })
  expect(await command(['keys', '--help'])).toMatchObject({ code: 0, out: expect.stringContaining('keys revoke') })
  expect(await command(['help', 'serve'])).toMatchObject({ code: 0, out: expect.stringContaining('--install-relay') })
  expect(await command(['keys', 'lst'])).toMatchObject({ code: 64, err: expect.stringContaining('there is no command "keys lst"') })
  expect(await command(['keys', 'revoke'])).toMatchObject({ code: 64, err: expect.stringContaining('it needs <key>') })
  expect(await command(['keys', 'list', 'too-much'])).toMatchObject({ code: 64, err: expect.stringContaining('"too-much"') })
})

test('the version says which Node.js runs it', async () => {
  expect((await command(['--version'])).out).toMatch(/^turnpike \d+\.\d+\.\d+ \(Node\.js 2[4-9]\./)
})

test.each([['fly'], ['constructor']])('a command that there is not is an error with the list of those that there are: %s', async name => {
  const { code, err } = await command([name])
  expect(code).toBe(64)
  expect(err).toContain(`there is no command "${name}"`)
  expect(err).toContain('config')
})

test('an option that there is not is an error', async () => {
  expect(await command(['config', '--colour'])).toMatchObject({ code: 64, err: expect.stringContaining('--colour') })
})

test('config as JSON, secrets masked, with where each value is from', async () => {
  const { code, out } = await command(['config', '--json'], { TURNPIKE_HTTP_PORT: '9001', TURNPIKE_ADMIN_KEY: 'a-secret-of-more-than-24-characters' })
  expect(code).toBe(0)
  expect(JSON.parse(out)).toMatchObject({ TURNPIKE_HTTP_PORT: { value: 9001, source: 'environment' }, TURNPIKE_ADMIN_KEY: { value: '********' }, TURNPIKE_RELAY_PORT: { value: 3478, source: 'default' } })
  expect(out).not.toContain('a-secret')
})

test.each(['serve', 'config'])('%s with a wrong setting says which and ends with 78', async name => {
  expect(await command([name], { TURNPIKE_HTTP_PORT: 'x' })).toMatchObject({ code: ERRORS['config-invalid'].exit, err: expect.stringContaining('TURNPIKE_HTTP_PORT is "x"; expected an integer from 0 to 65535') })
})

test('a typo in a name is pointed out and stops nothing', async () => {
  expect(await command(['config'], { TURNPIKE_HTTP_PROT: '1' })).toMatchObject({ code: 0, err: expect.stringContaining('did you mean TURNPIKE_HTTP_PORT?') })
})

test('an error is told with its cure, and its exit code is the table\'s', () => {
  const error = new TurnpikeError('data-dir-locked', 'held by pid 7')
  expect(describeFailure(error)).toBe('turnpike: Another Turnpike uses this data directory: held by pid 7\n  cure: Stop the other one, or set TURNPIKE_DATA_DIR. [data-dir-locked]\n')
  expect(exitCodeOf(error)).toBe(73)
  expect(exitCodeOf(new Error('x'))).toBe(70)
  expect(describeFailure(new Error('unexpected'))).toContain('unexpected')
})

test('a Node.js that is too old is refused by main too', async () => {
  const versions = vi.spyOn(process, 'versions', 'get').mockReturnValue({ ...process.versions, node: '22.18.0' })
  onTestFinished(() => versions.mockRestore())
  await expect(runCommand(['version'])).rejects.toMatchObject({ code: 'node-too-old' })
})
