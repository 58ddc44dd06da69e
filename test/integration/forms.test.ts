/** The APIs of others: their real clients where npm has one, the documented bytes where not, each against coturn. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import twilio from 'twilio'
import { beforeAll, expect, test } from 'vitest'
import { startApp, type TestApp } from '../kit/app.ts'
import { cleanUpAfterFile } from '../kit/cleanup.ts'
import { allocated, relayPort } from '../kit/turn.ts'

cleanUpAfterFile()
let app: TestApp
beforeAll(async () => { app = await startApp() })

const admin = (method: string, path: string, body?: object) => app.request(path, { method, key: app.adminKey, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
const fetchText = async (path: string, options: RequestInit = {}): Promise<{ status: number, headers: Headers, text: string }> => {
  const answer = await fetch(app.url() + path, options)
  return { status: answer.status, headers: answer.headers, text: await answer.text() }
}
const works = async (username: unknown, credential: unknown): Promise<void> => { await allocated(relayPort(app), { username: String(username), credential: String(credential) }) }
const curl = async (...args: string[]): Promise<string> => (await promisify(execFile)('curl', ['-sS', ...args])).stdout
const bearer = (): Record<string, string> => ({ authorization: `Bearer ${app.apiKey}` })
const JSON_TYPE = { 'content-type': 'application/json' }

test('draft-uberti, GET: as Janus, Selkies and others call it, with key, api or a header', async () => {
  for (const path of [`/turn?service=turn&key=${app.apiKey}&username=fred`, `/turn?service=turn&api=${app.apiKey}&key=${app.apiKey}&username=fred`, `/turn?api=${app.apiKey}&username=fred`]) {
    const { status, headers, body } = await app.request(path, { key: null })
    expect([status, headers.get('cache-control')]).toEqual([200, 'no-store'])
    expect(body).toMatchObject({ username: expect.stringMatching(/^\d{10}:default\.fred\.[0-9a-f]{12}$/), ttl: 3600, uris: [expect.stringMatching(/^turn:127\.0\.0\.1:\d+\?transport=udp$/), expect.stringMatching(/transport=tcp$/)], iceServers: [{ urls: [expect.stringMatching(/^stun:/)] }, { username: body['username'], credential: body['password'] }] })
    await works(body['username'], body['password'])
  }
  const selkies = await app.request('/turn?service=turn', { headers: { 'x-auth-user': 'desk top', 'x-turn-protocol': 'tcp', 'x-turn-tls': 'false' } })
  expect(selkies.body).toMatchObject({ username: expect.stringMatching(/:default\.u_[\w-]{22}\./), uris: [expect.stringMatching(/tcp$/)] })
  // It sends these without being asked: what is not to be had is not insisted on.
  for (const headers of [{ 'x-turn-protocol': 'udp', 'x-turn-tls': 'true' }]) expect((await app.request('/turn?service=turn', { headers })).body['uris']).toHaveLength(2)
  const root = await fetchText(`/?service=turn&username=fred&key=${app.apiKey}`)
  expect([root.status, (JSON.parse(root.text) as { ttl: number }).ttl]).toEqual([200, 3600])
  expect((await fetchText('/')).headers.get('content-type')).toContain('text/html')
  expect((await app.request('/turn?service=stun')).body).toMatchObject({ code: 'invalid-request', errors: [{ field: 'service' }] })
  expect((await app.request('/turn?ttl=abc')).body).toMatchObject({ code: 'invalid-request', errors: [{ field: 'ttl' }] })
  expect((await app.request('/turn?transport=sctp')).body).toMatchObject({ errors: [{ field: 'transport' }] })
  expect((await app.request('/turn?service=turn', { key: null })).status).toBe(401)
})

test('draft-uberti, POST: the query repeated in a form body (libcurl as Janus has it), an empty body, a JSON body', async () => {
  const query = `service=turn&api=${app.apiKey}&key=${app.apiKey}&username=janus`
  const said = await curl('-X', 'POST', '-d', query, `${app.url()}/turn?${query}`)
  const answer = JSON.parse(said) as { username: string, password: string, ttl: number, uris: string[] }
  expect(answer.uris.length).toBeGreaterThan(0)
  expect(Number.isInteger(answer.ttl)).toBe(true)
  await works(answer.username, answer.password)
  const emulator = await fetchText(`/turn?key=${app.apiKey}`, { method: 'POST', headers: { referer: 'https://appr.tc' } })
  expect([emulator.status, (JSON.parse(emulator.text) as { iceServers: object[] }).iceServers.length]).toEqual([200, 2])
  const asJson = await fetchText(`/turn?key=${app.apiKey}`, { method: 'POST', headers: JSON_TYPE, body: '{"username":"x","service":"turn"}' })
  expect((JSON.parse(asJson.text) as { username: string }).username).toContain('.x.')
})

test('STUNner: an RTCConfiguration', async () => {
  const { status, body } = await app.request(`/ice?service=turn&ttl=600&username=fred&iceTransportPolicy=relay&namespace=a&gateway=b&listener=c&key=${app.apiKey}`, { key: null })
  expect([status, body['iceTransportPolicy']]).toEqual([200, 'relay'])
  expect((await app.request('/ice?iceTransportPolicy=public')).body['iceTransportPolicy']).toBe('all')
  const [turn] = body['iceServers'] as { urls: string[], username: string, credential: string }[]
  expect(turn?.urls.every(url => url.startsWith('turn:'))).toBe(true)
  await works(turn?.username, turn?.credential)
  expect((await app.request('/ice?iceTransportPolicy=none')).body).toMatchObject({ errors: [{ field: 'iceTransportPolicy' }] })
})

test('Twilio: its own client library takes a token, and understands a refusal', async () => {
  const { accountSid } = (await admin('GET', '/v1/projects/default')).body as { accountSid: string }
  const client = twilio(accountSid, app.apiKey)
  client.api.baseUrl = app.url()
  const token = await client.tokens.create({ ttl: 900 })
  expect(token).toMatchObject({ accountSid, ttl: '900', username: expect.any(String), password: expect.any(String) })
  expect(Math.abs(token.dateCreated.getTime() - Date.now())).toBeLessThan(5000)
  expect(token.iceServers.map(({ url, urls }) => [url === urls, String(urls).split(':')[0]])).toEqual([[true, 'stun'], [true, 'turn'], [true, 'turn']])
  await works(token.username, token.password)
  const wrong = twilio(accountSid, 'tpk_000000000000_wrong')
  wrong.api.baseUrl = app.url()
  await expect(wrong.tokens.create()).rejects.toMatchObject({ status: 401, code: 20003, moreInfo: 'urn:turnpike:error:unauthorized', message: expect.stringContaining('the key is not known here') })
  const raw = await fetchText(`/2010-04-01/Accounts/${accountSid}/Tokens.json`, { method: 'POST', headers: { authorization: `Basic ${Buffer.from(`default:${app.apiKey}`).toString('base64')}`, 'content-type': 'application/x-www-form-urlencoded' }, body: 'Ttl=600' })
  expect(raw.status).toBe(201)
  expect(JSON.parse(raw.text)).toMatchObject({ ttl: '600', account_sid: accountSid, date_created: expect.stringMatching(/^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000$/) })
  const unknown = await fetchText('/2010-04-01/Accounts/AC00000000000000000000000000000000/Tokens.json', { method: 'POST', headers: { authorization: `Basic ${Buffer.from(`x:${app.apiKey}`).toString('base64')}` } })
  expect(unknown.status).toBe(404)
  const none = await fetchText(`/2010-04-01/Accounts/${accountSid}/Tokens.json`, { method: 'POST' })
  expect([none.status, none.headers.get('www-authenticate')]).toEqual([401, 'Basic realm="Turnpike"'])
})

test('Cloudflare: an array, an object, a custom identifier, and a credential that is revoked', async () => {
  const base = '/v1/turn/keys/default/credentials'
  const post = (path: string, body?: object) => fetchText(path, { method: 'POST', headers: { ...bearer(), ...(body === undefined ? {} : JSON_TYPE) }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
  const servers = await post(`${base}/generate-ice-servers`, { ttl: 86_400 })
  expect(servers.status).toBe(201)
  const { iceServers: [stun, turn] } = JSON.parse(servers.text) as { iceServers: { urls: string[], username?: string, credential?: string }[] }
  expect(Object.keys(stun ?? {})).toEqual(['urls'])
  await works(turn?.username, turn?.credential)
  const object = await post(`${base}/generate`, { ttl: 600, customIdentifier: 'user4523958' })
  const { iceServers } = JSON.parse(object.text) as { iceServers: { urls: string[], username: string, credential: string } }
  expect(iceServers.username).toContain('default.user4523958.')
  expect(iceServers.urls[0]).toMatch(/^stun:/)
  await works(iceServers.username, iceServers.credential)
  const revoked = await post(`${base}/${encodeURIComponent(iceServers.username)}/revoke`)
  expect([revoked.status, revoked.text]).toEqual([204, ''])
  const listed = (await app.request('/v1/turn/revocations')).body['revocations'] as object[]
  expect(listed).toMatchObject([{ kind: 'credential', subject: iceServers.username }])
  const keyId = app.apiKey.split('_')[1]
  expect((await post(`/v1/turn/keys/${keyId}/credentials/generate-ice-servers`, {})).status).toBe(201)
  expect((await post('/v1/turn/keys/somebody/credentials/generate-ice-servers', {})).status).toBe(404)
  expect((await post(`${base}/generate`, { ttl: 'x' })).status).toBe(400)
})

test('Metered: the bare array, and a credential whose own key a page may have', async () => {
  const array = await fetchText(`/api/v1/turn/credentials?apiKey=${app.apiKey}`)
  const entries = JSON.parse(array.text) as { urls: string, username?: string, credential?: string }[]
  expect(entries.map(({ urls }) => urls.split(':')[0])).toEqual(['stun', 'turn', 'turn'])
  await works(entries[1]?.username, entries[1]?.credential)
  const made = await fetchText(`/api/v1/turn/credential?secretKey=${app.apiKey}`, { method: 'POST', headers: JSON_TYPE, body: '{"expiryInSeconds":600,"label":"exampleLabel"}' })
  const credential = JSON.parse(made.text) as { username: string, password: string, expiryInSeconds: number, label: string, apiKey: string }
  expect([made.status, credential.expiryInSeconds, credential.label]).toEqual([200, 600, 'exampleLabel'])
  const page = await fetchText(`/api/v1/turn/credentials?apiKey=${credential.apiKey}&region=global`, { headers: { origin: 'https://anywhere.example' } })
  expect([page.status, page.headers.get('access-control-allow-origin')]).toEqual([200, '*'])
  const [, own] = JSON.parse(page.text) as { username: string, credential: string }[]
  expect(own).toMatchObject({ username: credential.username, credential: credential.password })
  await works(own?.username, own?.credential)
  const nobody = await fetchText('/api/v1/turn/credentials?apiKey=nothing')
  expect([nobody.status, (JSON.parse(nobody.text) as { error: string }).error]).toEqual([401, 'the key is not known here'])
  const elsewhere = await fetchText(`/api/v1/turn/credentials?apiKey=${app.apiKey}&region=europe`)
  expect(elsewhere.status).toBe(200)
  const refusal = async (path: string) => {
    const answer = await fetchText(path, { headers: { origin: 'https://anywhere.example' } })
    return [answer.status, (JSON.parse(answer.text) as { code: string }).code, answer.headers.get('access-control-allow-origin')]
  }
  await admin('PATCH', '/v1/projects/default', { forms: ['twilio'] })
  expect(await refusal(`/api/v1/turn/credentials?apiKey=${credential.apiKey}`)).toEqual([403, 'form-off', '*'])
  await admin('PATCH', '/v1/projects/default', { forms: null, transports: ['tcp'] })
  const tcpOnly = JSON.parse((await fetchText(`/api/v1/turn/credentials?apiKey=${credential.apiKey}`)).text) as { urls: string }[]
  expect(tcpOnly.map(({ urls }) => urls.split('=')[1] ?? 'stun')).toEqual(['stun', 'tcp'])
  await admin('PATCH', '/v1/projects/default', { transports: null })
  await app.request(`/v1/turn/credentials/${encodeURIComponent(credential.username)}`, { method: 'DELETE' })
  expect(await refusal(`/api/v1/turn/credentials?apiKey=${credential.apiKey}`)).toEqual([403, 'user-revoked', '*'])
  await app.request(`/v1/turn/revocations/${encodeURIComponent(credential.username)}`, { method: 'DELETE' })
  const forged = `tpc_${Buffer.from(JSON.stringify(['9999999999:default.alice.0', 'AAAAAAAAAAAAAAAAAAAAAAAAAAA='])).toString('base64url')}`
  expect(await refusal(`/api/v1/turn/credentials?apiKey=${forged}`)).toEqual([401, 'unauthorized', '*'])
  for (const wrong of ['tpc_', 'tpc_W10', `tpc_${Buffer.from('["1:default.a","x"]').toString('base64url')}`, `tpc_${Buffer.from('["9999999999:<script>","x"]').toString('base64url')}`]) {
    const refused = await fetchText(`/api/v1/turn/credentials?apiKey=${wrong}`)
    expect([refused.status, (JSON.parse(refused.text) as { error: string }).error], wrong).toEqual([401, 'Invalid API Key'])
  }
  const bad = await fetchText(`/api/v1/turn/credential?secretKey=${app.apiKey}`, { method: 'POST', headers: JSON_TYPE, body: '{"expiryInSeconds":-1}' })
  expect([bad.status, (JSON.parse(bad.text) as { message: string }).message]).toEqual([400, expect.stringContaining('expiryInSeconds')])
})

test('Matrix: exactly its four fields, TURN only, and its error codes', async () => {
  for (const version of ['v3', 'r0']) {
    const { status, body } = await app.request(`/_matrix/client/${version}/voip/turnServer?user_id=${encodeURIComponent('@alice:example.org')}`)
    expect([status, Object.keys(body).sort()]).toEqual([200, ['password', 'ttl', 'uris', 'username']])
    expect((body['uris'] as string[]).every(uri => /^turns?:/.test(uri))).toBe(true)
    await works(body['username'], body['password'])
  }
  const refused = await app.request('/_matrix/client/v3/voip/turnServer', { key: 'wrong' })
  expect(refused.body).toMatchObject({ errcode: 'M_UNKNOWN', error: expect.any(String), code: 'unauthorized' })
  expect([refused.headers.get('content-type'), refused.headers.get('access-control-allow-origin')]).toEqual(['application/json; charset=utf-8', '*'])
  const preflight = await fetchText('/_matrix/client/v3/voip/turnServer', { method: 'OPTIONS', headers: { origin: 'https://element.example', 'access-control-request-method': 'GET' } })
  expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([204, '*'])
})

test('WHIP: one Link header for each URL, in the order that parsers insist on; none on a preflight', async () => {
  const answer = await fetchText('/v1/ice', { method: 'OPTIONS', headers: bearer() })
  expect([answer.status, answer.headers.get('access-control-allow-origin'), answer.headers.get('access-control-expose-headers')]).toEqual([204, '*', 'link, retry-after, x-request-id'])
  // As they were sent: fetch joins them.
  const raw = await curl('-i', '-X', 'OPTIONS', '-H', `Authorization: Bearer ${app.apiKey}`, `${app.url()}/v1/ice`)
  const links = raw.split('\r\n').filter(line => line.toLowerCase().startsWith('link:'))
  const port = relayPort(app)
  expect(links).toHaveLength(3)
  expect(links[0]).toBe(`link: <stun:127.0.0.1:${port}>; rel="ice-server"`)
  const [, username, credential] = new RegExp(`^link: <turn:127\\.0\\.0\\.1:${port}\\?transport=udp>; rel="ice-server"; username="([^",;]+)"; credential="([^",;]+)"; credential-type="password"$`).exec(links[1] ?? '') ?? []
  await works(username, credential)
  const preflight = await fetchText('/v1/ice', { method: 'OPTIONS', headers: { origin: 'https://a.example', 'access-control-request-method': 'OPTIONS' } })
  expect([preflight.status, preflight.headers.get('link')]).toEqual([204, null])
  expect((await fetchText('/v1/ice', { method: 'OPTIONS' })).status).toBe(401)
})

test.each(['uri', 'ice', 'xml', 'janus'])('?format=%s', async format => {
  const { status, headers, text } = await fetchText(`/v1/turn/credentials?format=${format}`, { method: 'POST', headers: { ...bearer(), ...JSON_TYPE }, body: '{"user":"alice"}' })
  expect([status, headers.get('cache-control')]).toEqual([201, 'no-store'])
  const port = relayPort(app)
  if (format === 'uri') {
    expect(headers.get('content-type')).toBe('text/plain; charset=utf-8')
    const [stun, turn = ''] = text.trimEnd().split('\n')
    expect(stun).toBe(`stun:127.0.0.1:${port}`)
    const [, username = '', password = ''] = new RegExp(`^turn:(\\d{10}%3Adefault\\.alice\\.[0-9a-f]{12}):([^:@/+]+)@127\\.0\\.0\\.1:${port}\\?transport=udp$`).exec(turn) ?? []
    await works(decodeURIComponent(username), decodeURIComponent(password))
  } else if (format === 'ice') {
    const servers = JSON.parse(text) as { username: string, credential: string }[]
    await works(servers[1]?.username, servers[1]?.credential)
  } else if (format === 'xml') {
    expect(text).toMatch(/^<services xmlns="urn:xmpp:extdisco:2">\n {2}<service type="stun" host="127\.0\.0\.1" port="\d+" transport="udp"\/>\n/)
    const [, username, password] = /<service type="turn" [^>]*transport="udp" username="([^"]+)" password="([^"]+)" expires="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ" restricted="1"\/>/.exec(text) ?? []
    await works(username, password)
  } else {
    const answer = JSON.parse(text) as { username: string, password: string }
    expect(Object.keys(answer)).toEqual(['username', 'password', 'ttl', 'uris'])
    await works(answer.username, answer.password)
  }
})

test('a form that is switched off says so, and the others go on; scopes, quotas and revocation hold in all of them', async () => {
  await admin('POST', '/v1/projects', { id: 'some', forms: ['matrix'], quotas: { credentialsPerMinute: 2 } })
  const { key } = (await admin('POST', '/v1/projects/some/keys', {})).body as { key: string }
  const paths: [string, string, Record<string, string>][] = [
    ['GET', `/turn?key=${key}`, {}],
    ['GET', `/ice?key=${key}`, {}],
    ['GET', `/api/v1/turn/credentials?apiKey=${key}`, {}],
    ['POST', '/2010-04-01/Accounts/some/Tokens.json', { authorization: `Basic ${Buffer.from(`x:${key}`).toString('base64')}` }],
    ['POST', '/v1/turn/keys/some/credentials/generate', { authorization: `Bearer ${key}` }],
    ['OPTIONS', '/v1/ice', { authorization: `Bearer ${key}` }],
  ]
  for (const [method, path, headers] of paths) {
    const answer = await fetchText(path, { method, headers })
    const { code, more_info: info } = JSON.parse(answer.text) as { code: unknown, more_info?: string }
    expect([answer.status, info ?? code], path).toEqual([403, info === undefined ? 'form-off' : 'urn:turnpike:error:form-off'])
  }
  const ask = async () => (await app.request('/_matrix/client/v3/voip/turnServer?user_id=alice', { key }))
  expect([(await ask()).status, (await ask()).status]).toEqual([200, 200])
  const spent = await ask()
  expect([spent.status, spent.body['errcode'], spent.headers.get('retry-after')]).toEqual([429, 'M_LIMIT_EXCEEDED', expect.stringMatching(/^\d+$/)])
  await admin('PATCH', '/v1/projects/some', { quotas: null })
  await app.request('/v1/turn/credentials/alice', { method: 'DELETE', key })
  expect((await ask()).body).toMatchObject({ errcode: 'M_FORBIDDEN', code: 'user-revoked' })
})

test('a publishable key works in the forms that pages call', async () => {
  await admin('POST', '/v1/projects', { id: 'pages', origins: ['https://app.example'], publishableKeys: true })
  const { key } = (await admin('POST', '/v1/projects/pages/keys', { kind: 'publishable' })).body as { key: string }
  const page = { origin: 'https://app.example' }
  for (const path of [`/turn?key=${key}&username=alice`, `/ice?key=${key}`, `/api/v1/turn/credentials?apiKey=${key}`]) {
    const answer = await fetchText(path, { headers: page })
    expect([answer.status, answer.headers.get('access-control-allow-origin')], path).toEqual([200, 'https://app.example'])
    expect(answer.text).not.toContain('alice')
    expect((await fetchText(path)).status).toBe(403)
  }
  expect((await fetchText(`/_matrix/client/v3/voip/turnServer?access_token=${key}`, { headers: page })).status).toBe(403)
})
