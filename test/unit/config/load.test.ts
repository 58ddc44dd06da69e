import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { loadConfig, type Loaded } from '../../../src/config/load.ts'
import { listSettings } from '../../../src/config/settings.ts'

const directory = mkdtempSync(join(tmpdir(), 'turnpike-config-'))
afterAll(() => rmSync(directory, { recursive: true }))

/** Loads with an environment and files that exist only here. */
function load (env: Record<string, string>, files: Record<string, string> = {}): Loaded {
  return loadConfig({
    env,
    readFile: path => {
      const text = files[path]
      if (text === undefined) throw Object.assign(new Error(`no ${path}`), { code: 'ENOENT' })
      return text
    },
  })
}

function pair (name: string): { cert: string, key: string } {
  const files = { cert: join(directory, `${name}.pem`), key: join(directory, `${name}.key`) }
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', `/CN=${name}`, '-days', '2', '-out', files.cert, '-keyout', files.key], { stdio: 'ignore' })
  return { cert: readFileSync(files.cert, 'utf8'), key: readFileSync(files.key, 'utf8') }
}

test('an empty environment gives the defaults and no problem', () => {
  const { config, problems, warnings } = load({})
  expect(problems).toEqual([])
  expect(warnings).toEqual([])
  expect(config.http).toEqual({ host: '0.0.0.0', port: 8080, allowedOrigins: ['*'], trustProxy: [] })
  expect(config.relay).toMatchObject({ driver: 'auto', port: 3478, tlsPort: 5349, peers: 'internet' })
  expect(config.metrics).toEqual({ host: '127.0.0.1', port: 9464 })
})

test('the names that operators rely on exist', () => {
  const names = listSettings().map(setting => setting.variable)
  const promised = ['DATA_DIR', 'HTTP_HOST', 'HTTP_PORT', 'METRICS_HOST', 'METRICS_PORT', 'PUBLIC_HOST', 'ADMIN_KEY', 'API_KEY', 'RELAY_DRIVER', 'RELAY_IMAGE', 'RELAY_LISTEN_IP', 'RELAY_EXTERNAL_IP', 'RELAY_PORT', 'RELAY_TLS_PORT', 'RELAY_MIN_PORT', 'RELAY_MAX_PORT', 'RELAY_PEERS', 'TLS_CERT', 'TLS_KEY']
  expect(names).toEqual(expect.arrayContaining(promised.map(name => `TURNPIKE_${name}`)))
})

test('every problem is listed at once, each with its variable, what it is and what was expected', () => {
  const { problems } = load({ TURNPIKE_HTTP_PORT: 'eighty', TURNPIKE_RELAY_DRIVER: 'podman', TURNPIKE_RELAY_LISTEN_IP: '10.0.0', TURNPIKE_PUBLIC_HOST: '2001:db8::1', TURNPIKE_RELAY_STUN_SERVERS: 'stun.example' })
  expect(problems).toEqual([
    { where: 'TURNPIKE_PUBLIC_HOST', message: expect.stringContaining('is "2001:db8::1"; expected a host name or an IPv4 address') },
    { where: 'TURNPIKE_HTTP_PORT', message: 'is "eighty"; expected an integer from 0 to 65535' },
    { where: 'TURNPIKE_RELAY_DRIVER', message: 'is "podman"; expected one of auto, docker, process, external' },
    { where: 'TURNPIKE_RELAY_LISTEN_IP', message: 'is "10.0.0"; expected an IP address' },
    { where: 'TURNPIKE_RELAY_STUN_SERVERS', message: 'is ["stun.example"]; expected a list separated by commas, each host:port' },
  ])
})

test('a secret that is wrong is described by its length, never shown', () => {
  const { problems } = load({ TURNPIKE_API_KEY: 'tooshortsecret' })
  expect(problems).toEqual([{ where: 'TURNPIKE_API_KEY', message: 'has 14 characters; expected at least 24 characters' }])
})

test('the environment beats a secret file, which beats the settings file, which beats the default', () => {
  const files = { '/run/key': `${'f'.repeat(30)}\n`, '/etc/turnpike.yaml': `apiKey: ${'y'.repeat(30)}\nhttp:\n  port: 9000\n` }
  const env = { TURNPIKE_CONFIG: '/etc/turnpike.yaml' }
  expect(load(env, files).config).toMatchObject({ apiKey: 'y'.repeat(30), http: { port: 9000 } })
  expect(load({ ...env, TURNPIKE_API_KEY_FILE: '/run/key' }, files).config.apiKey).toBe('f'.repeat(30))
  const strongest = load({ ...env, TURNPIKE_API_KEY_FILE: '/run/key', TURNPIKE_API_KEY: 'e'.repeat(30), TURNPIKE_HTTP_PORT: '9001' }, files)
  expect(strongest.config).toMatchObject({ apiKey: 'e'.repeat(30), http: { port: 9001 } })
  expect(strongest.sources.get('TURNPIKE_HTTP_PORT')).toBe('environment')
  expect(strongest.warnings.join()).toContain('TURNPIKE_API_KEY_FILE is not read')
})

test('JSON is read too, and an empty variable counts as one that is not set', () => {
  const { config } = load({ TURNPIKE_CONFIG: 'c.json', TURNPIKE_HTTP_PORT: '' }, { 'c.json': '{"http":{"port":9002,"trustProxy":["10.0.0.0/8"]}}' })
  expect(config.http).toMatchObject({ port: 9002, trustProxy: ['10.0.0.0/8'] })
})

test('a name that is nearly right is pointed out: a problem in the file, a warning in the environment', () => {
  const { problems } = load({ TURNPIKE_CONFIG: 'c' }, { c: 'http:\n  prot: 1\nrealy: {}\n' })
  expect(problems).toEqual([
    { where: 'http.prot', message: 'is no setting; did you mean http.port?' },
    { where: 'realy', message: expect.stringContaining('is no setting') },
  ])
  expect(load({ TURNPIKE_HTTP_PROT: '1' }).warnings).toEqual(['TURNPIKE_HTTP_PROT is no setting and is not read; did you mean TURNPIKE_HTTP_PORT?'])
})

test.each([
  [{ TURNPIKE_CONFIG: 'gone.yaml' }, {}, 'TURNPIKE_CONFIG', 'there is no such file'],
  [{ TURNPIKE_CONFIG: 'c' }, { c: 'a: [' }, 'TURNPIKE_CONFIG', 'cannot be read as YAML or JSON'],
  [{ TURNPIKE_CONFIG: 'c' }, { c: '- 1' }, 'TURNPIKE_CONFIG', 'holds no settings'],
  [{ TURNPIKE_API_KEY_FILE: 'gone' }, {}, 'TURNPIKE_API_KEY_FILE', 'there is no such file'],
  [{ TURNPIKE_RELAY_MIN_PORT: '50001', TURNPIKE_RELAY_MAX_PORT: '50000' }, {}, 'TURNPIKE_RELAY_MIN_PORT', 'above TURNPIKE_RELAY_MAX_PORT'],
  [{ TURNPIKE_RELAY_PORT: '50000', TURNPIKE_RELAY_MAX_PORT: '51159' }, {}, 'TURNPIKE_RELAY_PORT', 'inside the range'],
  [{ TURNPIKE_RELAY_PORT: '5349' }, {}, 'TURNPIKE_RELAY_TLS_PORT', 'the same as'],
  [{ TURNPIKE_RELAY_DRIVER: 'external', TURNPIKE_RELAY_SECRET: 'x'.repeat(20) }, {}, 'TURNPIKE_PUBLIC_HOST', 'is not set'],
  [{ TURNPIKE_RELAY_DRIVER: 'external', TURNPIKE_PUBLIC_HOST: 'turn.example' }, {}, 'TURNPIKE_RELAY_SECRET', 'is not set'],
  [{ TURNPIKE_RELAY_LISTEN_IP: '::1' }, {}, 'TURNPIKE_PUBLIC_HOST', 'no IPv6 address'],
  [{ TURNPIKE_RELAY_LISTEN_IP: '10.0.0.1', TURNPIKE_RELAY_EXTERNAL_IP: '2001:db8::1' }, {}, 'TURNPIKE_RELAY_EXTERNAL_IP', 'another family'],
  [{ TURNPIKE_CREDENTIALS_TTL_SECONDS: '60', TURNPIKE_CREDENTIALS_MIN_TTL_SECONDS: '120' }, {}, 'TURNPIKE_CREDENTIALS_TTL_SECONDS', 'expected it between'],
  [{ TURNPIKE_CREDENTIALS_MIN_TTL_SECONDS: '600', TURNPIKE_CREDENTIALS_MAX_TTL_SECONDS: '500' }, {}, 'TURNPIKE_CREDENTIALS_MIN_TTL_SECONDS', 'above'],
  [{ TURNPIKE_HTTP_TRUST_PROXY: '10.0.0.0/33' }, {}, 'TURNPIKE_HTTP_TRUST_PROXY', 'CIDR'],
  [{ TURNPIKE_RELAY_IMAGE: 'a\nb' }, {}, 'TURNPIKE_RELAY_IMAGE', 'not empty'],
  [{ TURNPIKE_TLS_CERT: 'a' }, {}, 'TURNPIKE_TLS_KEY', 'both or neither'],
  [{ TURNPIKE_TLS_KEY: 'a' }, {}, 'TURNPIKE_TLS_CERT', 'both or neither'],
  [{ TURNPIKE_TLS_CERT: 'a', TURNPIKE_TLS_KEY: 'b' }, {}, 'TURNPIKE_TLS_CERT', 'expected a readable file'],
])('%j is refused', (env, files, where, message) => {
  const { problems } = load(env as Record<string, string>, files as Record<string, string>)
  expect(problems.map(problem => `${problem.where} ${problem.message}`).join('\n')).toMatch(new RegExp(`${where} .*${message}`))
})

test('more relays are declared in the file: what is different of each, and its host', () => {
  const { config, problems } = load({ TURNPIKE_CONFIG: 'c' }, { c: 'relays:\n  fra: {region: eu, port: 4478, tlsPort: 6349, alternatePort: 4479, alternateTlsPort: 6350, minPort: 40000, maxPort: 40999}\n  nyc: {driver: external, host: nyc.example, secret: 0123456789abcdef}\n' })
  expect(problems).toEqual([])
  expect(config.relays).toMatchObject({ fra: { region: 'eu', minPort: 40000 }, nyc: { driver: 'external', host: 'nyc.example' } })
})

test.each([
  ['relays: 5', 'relays', 'holds no relays'],
  ['relays: {A B: {}}', 'relays.A B', 'is no id'],
  ['relays: {turnpike: {}}', 'relays.turnpike', 'another id'],
  ['relays: {a: 1}', 'relays.a', 'holds no settings'],
  ['relays: {a: {prot: 1}}', 'relays.a.prot', 'is no setting of a relay'],
  ['relays: {a: {port: none}}', 'relays.a.port', 'is "none"; expected an integer'],
  ['relays: {a: {secret: short}}', 'relays.a.secret', 'is wrong; expected at least 16'],
  ['relays: {a: {driver: external, host: h.example}}', 'relays.a.secret', 'is not set'],
  ['relays: {a: {driver: external, secret: 0123456789abcdef}}', 'relays.a.host', 'is not set'],
  ['relays: {a: {}}', 'relays.a.minPort', 'overlaps that of turnpike'],
  ['relays: {a: {minPort: 30000, maxPort: 30999}}', 'relays.a.port', 'leads to port 3478, which turnpike has too'],
  ['relays: {a: {minPort: 31000, maxPort: 30999}}', 'relays.a.minPort', 'above relays.a.maxPort'],
  ['relay: {alternatePort: 3478}', 'TURNPIKE_RELAY_ALTERNATE_PORT', 'the same as TURNPIKE_RELAY_PORT'],
  ['relay: {region: Europe West}', 'relay.region', '1 to 32 characters'],
])('%s is refused', (c, where, message) => {
  const { problems } = load({ TURNPIKE_CONFIG: 'c' }, { c })
  expect(problems.map(problem => `${problem.where} ${problem.message}`).join('\n')).toContain(message)
  expect(problems.map(problem => problem.where).join('\n')).toContain(where)
  expect(JSON.stringify(problems)).not.toContain('short"')
})

test('a certificate and its key are taken, a key of another certificate is not', () => {
  const [one, other] = [pair('one'), pair('other')]
  const env = { TURNPIKE_TLS_CERT: 'cert', TURNPIKE_TLS_KEY: 'key' }
  expect(load(env, { cert: one.cert, key: one.key }).problems).toEqual([])
  const { problems } = load(env, { cert: one.cert, key: other.key })
  expect(problems).toEqual([{ where: 'TURNPIKE_TLS_KEY', message: expect.stringContaining('does not belong to the certificate') }])
})

test('the configuration cannot be changed once it is loaded', () => {
  const { config } = load({})
  expect(() => { (config.http as { port: number }).port = 1 }).toThrow(TypeError)
})
