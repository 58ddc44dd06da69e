/** The command line as a person uses it: against a server that runs, one that is elsewhere, and a data directory without any. */
import { execFile, execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { loopbackSettings, startApp } from '../kit/app.ts'
import { whenDone } from '../kit/cleanup.ts'
import { run, runHere, type Said } from '../kit/command.ts'
import { freePorts, scratchDirectory, until } from '../kit/files.ts'
import { allocated } from '../kit/turn.ts'

const turnpike = runHere

async function serverEnv (): Promise<Record<string, string>> {
  const [httpPort] = await freePorts(1)
  return { ...await loopbackSettings(), TURNPIKE_HTTP_PORT: String(httpPort) }
}

test('against the server of the data directory: projects, keys, credentials, tokens, allocations, usage, secrets, audit', async () => {
  const env = await serverEnv()
  await run('node_modules/.bin/node', ['--disable-warning=ExperimentalWarning', 'src/main.ts', 'serve'], env).until('relayed media')
  expect(statSync(`${env['TURNPIKE_DATA_DIR']}/control.json`).mode & 0o777).toBe(0o600)
  const at = (...args: string[]): Promise<Said> => turnpike(env, ...args)
  const ok = async (...args: string[]): Promise<string> => {
    const { code, out, err } = await at(...args)
    expect([code, err.includes('cure:')], `${args.join(' ')}\n${err}`).toEqual([0, false])
    return out
  }
  expect(await ok('projects', 'create', 'shop', '--set', 'expiry=hard', '--set', 'quotas.bytesPerDay=1000000', '--set', 'origins=["https://shop.example"]')).toContain('"bytesPerDay": 1000000')
  expect(JSON.parse(await ok('projects', 'update', 'shop', '--set', 'expiry=null', '--json'))).toMatchObject({ settings: { expiry: 'soft' } })
  expect(await ok('projects', 'list')).toMatch(/ID +ENABLED.*\ncall .*\ndefault .*\nshop +true +soft +API/)
  const made = await at('keys', 'create', '--project', 'shop', '--name', 'backend', '--scopes', 'turn:issue,usage:read')
  expect(made.out).toMatch(/^tpk_[0-9a-f]{12}_[\w-]{39}\n$/)
  expect(made.err).toContain('shown now and never again')
  const id = made.out.split('_')[1] ?? ''
  expect(await ok('keys', 'list', '--project', 'shop')).toMatch(new RegExp(`${id} +backend +secret +turn:issue,usage:read`))
  expect(await ok('credentials', 'issue', '--user', 'alice', '--ttl', '600')).toMatch(/user name: +\d{10}:default\.alice\.0\n[^]*turn:127\.0\.0\.1/)
  expect(JSON.parse(await ok('credentials', 'issue', '--project', 'shop', '--json'))).toMatchObject({ ttl: 3600 })
  expect(await ok('credentials', 'revoke', 'alice')).toMatch(/^alice is revoked until .*; 0 live allocations were cut\n$/)
  expect(await at('credentials', 'revoke', '--all', 'alice')).toMatchObject({ code: 64, err: expect.stringContaining('not both') })
  expect(await ok('credentials', 'revoked')).toMatch(/user +alice/)
  expect(await ok('credentials', 'lift', 'alice')).toBe('lifted\n')
  expect((await at('tokens', 'room', 'my room', 'me')).out).toMatch(/^eyJ[\w-]+\.[\w-]+\.[\w-]+\n$/)
  expect(await ok('allocations', 'list')).toBe('none\n')
  expect(await ok('usage')).toMatch(/DAY +FROM CLIENTS[^\n]*\n\d{4}-\d\d-\d\d +0 B +0 B +0 +2\n/)
  expect(await ok('secrets', 'rotate')).toMatch(/2 +current[^\n]*\n1 +old/)
  expect(await ok('secrets', 'rotate', 'signing')).toMatch(/^room tokens are signed with [0-9a-f]{8}\n$/)
  expect(await ok('keys', 'revoke', id, '--project', 'shop')).toContain('revoked; 0')
  expect(await ok('audit', '--project', 'shop')).toMatch(/admin:this-machine +127\.0\.0\.1 +key\.revoke +shop/)
  const few = await at('audit', '--limit', '2')
  expect([few.out.split('\n').length, few.err]).toEqual([4, expect.stringContaining('there is more')])
  expect(await ok('projects', 'delete', 'shop')).toBe('deleted\n')

  expect(await at('projects', 'show', 'shop')).toMatchObject({ code: 65, err: expect.stringContaining('[not-found]') })
  expect(await at('projects', 'create', 'default')).toMatchObject({ code: 65, err: expect.stringContaining('[project-exists]') })
  expect(await at('keys', 'create', '--scopes', 'fly')).toMatchObject({ code: 65, err: expect.stringMatching(/scopes.*one of/) })
  expect(await at('integrations', 'create', 'synapse')).toMatchObject({ code: 65, err: expect.stringContaining('[integration-unsafe]') })
  expect(await at('credentials', 'revoke')).toMatchObject({ code: 64, err: expect.stringContaining('needs a user, or --all') })
  expect(await at('projects', 'update', 'default', '--set', 'quotas=5', '--set', 'quotas.peers=1')).toMatchObject({ code: 64, err: expect.stringContaining('quotas was set to a value before') })
  expect(await at('projects', 'update', 'default', '--set', 'nonsense')).toMatchObject({ code: 64, err: expect.stringContaining('name=value') })
  expect(await at('secrets', 'rotate', 'foo')).toMatchObject({ code: 64, err: expect.stringContaining('none of turn, signing') })
  expect(await at('projects', 'update', 'default', '--set', 'expiry=medium')).toMatchObject({ code: 65, err: expect.stringContaining('expiry must be one of soft, hard') })
  expect(await at('usage', '--limit', '0')).toMatchObject({ code: 65, err: expect.stringContaining('--limit 0') })
}, 120_000)

test('from elsewhere, by address and key: an API key does what it may', async () => {
  const app = await startApp()
  const elsewhere = { TURNPIKE_DATA_DIR: scratchDirectory() }
  expect(await turnpike({ ...elsewhere, TURNPIKE_ADMIN_KEY: app.adminKey }, 'projects', 'list', '--url', `${app.url()}/`)).toMatchObject({ code: 0, out: expect.stringContaining('default') })
  expect(await turnpike({ ...elsewhere, TURNPIKE_API_KEY: app.apiKey }, 'credentials', 'issue', '--url', app.url())).toMatchObject({ code: 0, out: expect.stringContaining('turn:') })
  expect(await turnpike({ ...elsewhere, TURNPIKE_API_KEY: app.apiKey }, 'projects', 'list', '--url', app.url())).toMatchObject({ code: 77, err: expect.stringContaining('this needs an admin key') })
  expect(await turnpike(elsewhere, 'projects', 'list', '--url', app.url())).toMatchObject({ code: 77, err: expect.stringContaining('TURNPIKE_ADMIN_KEY') })
  expect(await turnpike({ ...elsewhere, TURNPIKE_ADMIN_KEY: app.adminKey }, 'projects', 'list', '--url', 'localhost:1')).toMatchObject({ code: 64, err: expect.stringContaining('does not begin with https://') })
  const [port] = await freePorts(1)
  expect(await turnpike({ ...elsewhere, TURNPIKE_ADMIN_KEY: app.adminKey }, 'projects', 'list', '--url', `http://127.0.0.1:${port}`)).toMatchObject({ code: 69, err: expect.stringMatching(/ECONNREFUSED[^]*\[server-unreachable\]/) })
  expect(await turnpike(elsewhere, 'projects', 'list')).toMatchObject({ code: 69, err: expect.stringContaining('there is no server and no database') })
  expect(existsSync(`${elsewhere.TURNPIKE_DATA_DIR}/turnpike.db`)).toBe(false)
})

test('on the data directory while no server runs; a backup of it is put back on another machine, and what was issued works there', async () => {
  const app = await startApp()
  const issued = (await app.request('/v1/turn/credentials', { method: 'POST', body: '{"user":"alice"}' })).body as { username: string }
  const file = `${scratchDirectory()}/turnpike-backup.db`
  const adminEnv = { TURNPIKE_DATA_DIR: scratchDirectory(), TURNPIKE_ADMIN_KEY: app.adminKey }
  expect(await turnpike(adminEnv, 'backup', file, '--url', app.url())).toMatchObject({ code: 0, out: `${file}\n`, err: expect.stringContaining('secrets too') })
  expect(statSync(file).mode & 0o777).toBe(0o600)
  // It was made beside the database, and nothing of it is left there.
  expect(readdirSync(`${app.env['TURNPIKE_DATA_DIR']}/backups`)).toEqual([])
  expect(await turnpike({ ...adminEnv, TURNPIKE_ADMIN_KEY: 'a-wrong-key-of-24-characters' }, 'backup', `${file}.2`, '--url', app.url())).toMatchObject({ code: 77 })
  expect(await turnpike(adminEnv, 'backup', file, '--url', app.url())).toMatchObject({ code: 73, err: expect.stringMatching(/is there already[^]*\[file-unusable\]/) })
  const small = scratchDirectory()
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', small])
  whenDone(() => { execFileSync('umount', ['-l', small]) })
  expect(await turnpike(adminEnv, 'backup', `${small}/backup.db`, '--url', app.url())).toMatchObject({ code: 73, err: expect.stringContaining('ENOSPC') })
  expect(readdirSync(small)).toEqual([])
  const held = await turnpike({ TURNPIKE_DATA_DIR: app.env['TURNPIKE_DATA_DIR'] ?? '' }, 'restore', file)
  expect(held).toMatchObject({ code: 73, err: expect.stringContaining('[data-dir-locked]') })
  await app.stop(2000)

  const down = { TURNPIKE_DATA_DIR: app.env['TURNPIKE_DATA_DIR'] ?? '' }
  const made = await turnpike(down, 'keys', 'create', '--name', 'made while it was down')
  expect(made).toMatchObject({ code: 0, out: expect.stringMatching(/^tpk_/) })
  expect((await turnpike(down, 'keys', 'list')).out).toContain('made while it was down')
  expect(await turnpike(down, 'credentials', 'issue')).toMatchObject({ code: 75, err: expect.stringContaining('[relay-unavailable]') })

  const second = { TURNPIKE_DATA_DIR: scratchDirectory() }
  expect(await turnpike(second, 'restore', file)).toMatchObject({ code: 0, out: expect.stringContaining('restored into') })
  const next = await startApp({ ...app.env, ...second })
  expect((await next.request('/v1/turn/credentials', { method: 'POST', body: '{"user":"bob"}', key: app.apiKey })).status).toBe(201)
  const { TurnClient, isRefusal } = await import('../../src/stun/turn-client.ts')
  const client = await TurnClient.open({ transport: 'udp', host: '127.0.0.1', port: Number(next.env['TURNPIKE_RELAY_PORT']), timeoutMs: 2000 })
  expect(isRefusal(await client.allocate({ username: issued.username, password: (issued as unknown as { credential: string }).credential }))).toBe(false)
  await client.close()
  await next.stop(2000)
  expect((await turnpike(second, 'restore', file)).out).toContain('what was there is kept')
  expect(JSON.parse((await turnpike(second, 'restore', file, '--json')).out)).toEqual({ dataDir: second.TURNPIKE_DATA_DIR, kept: expect.stringContaining('before-restore') })
  expect(JSON.parse((await turnpike(second, 'backup', `${file}.3`, '--json')).out)).toEqual({ file: `${file}.3` })
  writeFileSync(`${file}.text`, 'no backup')
  expect(await turnpike(second, 'restore', `${file}.text`)).toMatchObject({ code: 74, err: expect.stringContaining('[store-damaged]') })
  expect(readFileSync(file).subarray(0, 15).toString()).toBe('SQLite format 3')
})

test('completion for bash is a script that bash takes; for another shell there is none', async () => {
  const { out } = await turnpike({}, 'completion', 'bash')
  const complete = async (words: string): Promise<string> => await new Promise(resolve => {
    execFile('bash', ['-c', `${out}\nCOMP_WORDS=(${words}) COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _turnpike; echo "\${COMPREPLY[@]}"`], (_error, stdout) => resolve(stdout.trim()))
  })
  expect(await complete("turnpike cre''")).toBe('credentials')
  expect(await complete("turnpike keys ''")).toBe('first create list rotate revoke')
  expect(await complete('turnpike keys create --s')).toBe('--scopes')
  expect((await turnpike({}, 'completion', 'fish')).code).toBe(64)
})

test('in zsh, at a terminal, the tabulator completes', async () => {
  const file = `${scratchDirectory()}/completion.zsh`
  writeFileSync(file, (await turnpike({}, 'completion', 'zsh')).out)
  const script = `zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "autoload -U compinit && compinit -u -D; source ${file}; turnpike() { :; }"
sleep 2
zpty -w -n shell $'turnpike keys \\t\\t'
sleep 1
all=
while zpty -r -t shell line; do all+=$line; done
print -r -- $all
zpty -d shell`
  const shown = await new Promise<string>((resolve, reject) => execFile('zsh', ['-f', '-c', script], (error, stdout) => (error === null ? resolve(stdout) : reject(error))))
  expect(shown).toMatch(/create +first +list +revoke +rotate/)
})

test('relays are listed, shown, drained, brought back and upgraded; allocations are seen, topped and cut; usage comes as CSV', async () => {
  const env = await serverEnv()
  await run('node_modules/.bin/node', ['--disable-warning=ExperimentalWarning', 'src/main.ts', 'serve'], env).until('relayed media')
  const at = (...args: string[]): Promise<Said> => turnpike(env, ...args)
  const ok = async (...args: string[]): Promise<string> => {
    const said = await at(...args)
    expect(said.code, `${args.join(' ')}: ${said.err}`).toBe(0)
    return said.out
  }
  expect(await ok('relays', 'list')).toMatch(/^ID +REGION +STATE.*\nturnpike +default +healthy +yes /)
  expect(await ok('relays', 'show', 'turnpike')).toMatch(/state: +healthy[^]*CHECK +TRANSPORT[^]*echo +udp +passed/)
  const { username, credential } = JSON.parse(await ok('credentials', 'issue', '--user', 'alice', '--room', 'lobby', '--json')) as { username: string, credential: string }
  const { client } = await allocated(Number(env['TURNPIKE_RELAY_PORT']), { username, credential })
  await until('it is seen', async () => (await ok('allocations', 'list')).includes('alice'))
  expect(await ok('allocations', 'list', '--room', 'lobby')).toMatch(/turnpike\.main\.\d+ +default +alice +lobby +udp/)
  expect(await ok('allocations', 'list', '--room', 'attic')).toBe('none\n')
  expect(await ok('allocations', 'top')).toMatch(/1 allocations[^]*RATE +RELAYED[^]*alice +lobby +turnpike +udp/)
  expect(JSON.parse(await ok('allocations', 'top', '--json'))).toMatchObject({ total: 1 })
  expect((await at('allocations', 'cut')).err).toContain('needs an id, --user')
  expect((await at('allocations', 'cut', 'x', '--all')).code).toBe(64)
  const upgraded = await at('relays', 'upgrade', 'turnpike', '--drain-seconds', '5', '--hand-over-seconds', '0', '--wait')
  expect([upgraded.code, upgraded.out]).toEqual([0, 'done: upgrade is done; 1 allocations were cut\n'])
  expect(upgraded.err).toMatch(/draining: it takes nothing new/)
  client.abandon()
  expect(await ok('relays', 'drain', 'turnpike', '--hand-over-seconds', '0', '--wait')).toContain('done')
  expect(await ok('relays', 'list')).toMatch(/turnpike +default +drained +no /)
  expect((await at('credentials', 'issue')).code).toBe(75)
  expect(await ok('relays', 'restart', 'turnpike', '--wait')).toContain('done: restart is done')
  await ok('credentials', 'issue')
  expect(await ok('usage', '--by', 'user,room', '--csv')).toMatch(/^user,room,bytesFromClient[^]*\r\nalice,lobby,/)
  expect(await ok('usage', '--by', 'day,transport')).toMatch(/^DAY +TRANSPORT +FROM CLIENTS/)
  expect(await at('relays', 'drain', 'mars')).toMatchObject({ code: 65, err: expect.stringContaining('there is no relay mars') })
  expect((await at('relays', 'drain', 'turnpike', '--drain-seconds', 'soon')).err).toContain('drainSeconds')
})

test('where no server runs, a relay is not operated on', async () => {
  const { env, stop } = await startApp({}, { programPath: [] })
  await stop(2000)
  expect(await turnpike(env, 'relays', 'drain', 'turnpike')).toMatchObject({ code: 69, err: expect.stringContaining('no server runs') })
})
