/** An example of each answer that goes well, by route: what a reader of the reference sees before the schema. */

const AT = 1795291167
const USERNAME = `${AT}:default.alice.0123456789ab`
const CREDENTIAL = 'MTIzNDU2Nzg5MDEyMzQ1Njc4OTA='
const TURN = ['turn:turn.example:3478?transport=udp', 'turn:turn.example:3478?transport=tcp', 'turns:turn.example:5349?transport=tcp']
const ICE_SERVERS = [{ urls: ['stun:turn.example:3478'] }, { urls: TURN, username: USERNAME, credential: CREDENTIAL }]
const ISSUED = { iceServers: ICE_SERVERS, username: USERNAME, credential: CREDENTIAL, expiresAt: AT, ttl: 3600 }
const TURN_REST = { username: USERNAME, password: CREDENTIAL, ttl: 3600, uris: TURN }
const SETTINGS = {
  enabled: true,
  ttl: { default: null, min: null, max: 7200 },
  expiry: 'hard',
  transports: ['udp', 'tcp', 'tls'],
  regions: [],
  origins: ['https://shop.example'],
  publishableKeys: false,
  forms: ['turn-rest'],
  dialects: [],
  anonymousDialects: false,
  quotas: { allocationsPerUser: 8, allocations: null, bytesPerDay: null, bytesPerMonth: 100_000_000_000, credentialsPerMinute: null, requestsPerMinute: null, peers: null, rooms: null, roomCapacity: null, messageBytes: null, metadataBytes: null, signalsPerSecond: null, signalsBurst: null, socketsPerAddress: null },
  quotaAction: 'disable',
  webhook: 'https://shop.example/hooks/turnpike',
  webhookEvents: ['quota.warning', 'quota.exceeded'],
}
const DELIVERY = { id: 'evt_Jq1yH8xYc0aPJq1y', type: 'room.ended', at: AT - 300_000, state: 'dead', attempts: 71, reason: 'it answered 503', nextAttemptAt: null, givenUpAt: AT, event: { id: 'evt_Jq1yH8xYc0aPJq1y', type: 'room.ended', at: AT - 300_000, project: 'shop', room: 'lobby', kind: 'mesh' } }
const PROJECT = { id: 'shop', createdAt: AT, managed: false, accountSid: 'AC0123456789abcdef0123456789abcdef', settings: SETTINGS }
const KEY = { id: '0123456789ab', project: 'shop', name: 'backend', kind: 'secret', scopes: ['turn:issue'], createdAt: AT, expiresAt: null, lastUsedAt: AT }
const NEW_KEY = { ...KEY, lastUsedAt: null, key: 'tpk_0123456789ab_…' }
const QUOTA = { quota: 'bytesPerMonth', limit: 100_000_000_000, used: 12_345_678, resetsAt: AT }
const SECRETS = { secrets: [{ id: 2, state: 'current', createdAt: AT, retiresAt: null }, { id: 1, state: 'old', createdAt: AT - 2_592_000, retiresAt: AT + 86_400 }] }
const INTEGRATION = { name: 'synapse', createdAt: AT, previousRetiresAt: null }
const NEW_INTEGRATION = { ...INTEGRATION, secret: '…', snippets: { synapse: 'turn_uris: …' } }
const REVOKED = { allocationsClosed: 2, until: AT }
const FINDING = { check: 'name-agrees', subject: 'relay turnpike, turn.example', result: 'failed', what: 'turn.example is 192.0.2.7, and the public address of the relay is 192.0.2.9.', why: 'Clients go to the address of the name, and the relay names its public address to their peers; where the two differ, one of them is wrong.', cure: 'Set the A record of turn.example to 192.0.2.9; or, where the record is right, set TURNPIKE_RELAY_EXTERNAL_IP to it.' }
const ROOM = { id: 'lobby', kind: 'mesh', capacity: 50, metadata: {}, peerCount: 1, since: AT, madeAhead: true }
const ROOM_PEER = { id: 'alice', role: null, metadata: { name: 'Alice' }, session: 's_Jq1yH8xYc0aP', since: AT, address: '198.51.100.7', connected: true, roundTripMs: 12.5, protocol: 'native' }
const TOPIC_ENTRY = { peer: 'robot-7', metadata: { battery: 80 }, joined: false, leasedUntil: AT }
const OPERATION = { kind: 'upgrade', phase: 'draining', since: AT - 60, deadline: AT + 3600, detail: 'it takes nothing new and waits for its calls to end', left: 3, cut: 0 }
const RELAY = {
  id: 'turnpike',
  region: 'default',
  weight: 1,
  driver: 'docker',
  why: 'Docker answers and has coturn/coturn:4.18.0-r0',
  version: '4.18.0',
  state: 'healthy',
  ready: true,
  handedOut: true,
  drained: false,
  code: null,
  reason: 'every check passed',
  since: AT,
  restarts: 0,
  checks: [{ check: 'echo', transport: 'udp', result: 'passed', detail: '512 bytes there and back', roundTripMs: 1.2 }],
  listenIp: '10.0.0.5',
  publicAddress: '203.0.113.9',
  publicAddress6: null,
  host: 'turn.example',
  port: 3479,
  tlsPort: 5350,
  slot: 'alternate',
  allocations: 5,
  leaving: { allocations: 3, until: AT + 3600 },
  operation: OPERATION,
  warnings: [],
}

/** By method and path, as Fastify writes it. */
export const EXAMPLES: Readonly<Record<string, unknown>> = {
  'GET /healthz': { status: 'ok' },
  'GET /readyz': { ready: true, relay: { ready: true, state: 'healthy' }, store: { ready: true } },
  'POST /v1/turn/credentials': ISSUED,
  'DELETE /v1/turn/credentials': REVOKED,
  'DELETE /v1/turn/credentials/:user': REVOKED,
  'GET /v1/turn/revocations': { revocations: [{ kind: 'user', subject: 'alice', since: AT - 60, until: AT }], next: null },
  'GET /v1/turn/allocations': { allocations: [{ id: 'turnpike.main.001000000000000001', project: 'shop', user: 'alice', room: 'lobby', key: '0123456789ab', relay: 'turnpike', transport: 'tls', tlsVersion: 'TLSv1.3', clientAddress: '198.51.100.7:50000', relayAddress: '203.0.113.9:49300', since: AT - 60, expiresAt: AT + 540, credentialExpiresAt: AT, bytesFromClient: 2_500_000, bytesToClient: 1_000_000, packetsFromClient: 3_000, packetsToClient: 1_100, bytesPerSecond: 187_500 }], total: 1, next: null },
  'DELETE /v1/turn/allocations': { allocationsClosed: 3 },
  'DELETE /v1/turn/allocations/:id': { allocationsClosed: 1 },
  'POST /v1/rooms/:room/tokens': { token: 'eyJ…', tokenId: 'Jq1yH8xYc0aP', url: 'wss://turnpike.example/v1/signal', expiresAt: AT },
  'GET /v1/rooms': { rooms: [ROOM], total: 1, next: null },
  'GET /v1/rooms/:room': { ...ROOM, peers: [ROOM_PEER], next: null },
  'PUT /v1/rooms/:room': ROOM,
  'DELETE /v1/rooms/:room': { peersClosed: 1 },
  'DELETE /v1/rooms/:room/peers/:peer': { allocationsClosed: 2, tokenRevoked: true },
  'POST /v1/rooms/:room/messages': { peers: 1 },
  'GET /v1/topics/:topic/publishers': { entries: [TOPIC_ENTRY], next: null },
  'GET /v1/topics/:topic/subscribers': { entries: [TOPIC_ENTRY], next: null },
  'PUT /v1/topics/:topic/publishers/:peer': TOPIC_ENTRY,
  'PUT /v1/topics/:topic/subscribers/:peer': TOPIC_ENTRY,
  'GET /v1/usage': { from: AT - 2_592_000, to: AT, usage: [{ name: '2026-11-21', day: '2026-11-21', bytesFromClient: 12_345_678, bytesToClient: 23_456_789, packetsFromClient: 12_345, packetsToClient: 23_456, allocations: 42, credentials: 57 }], quotas: [QUOTA], next: null },
  'GET /v1/projects': { projects: [PROJECT], next: null },
  'POST /v1/projects': PROJECT,
  'GET /v1/projects/:project': { ...PROJECT, quotas: [{ ...QUOTA, period: '2026-11' }] },
  'PATCH /v1/projects/:project': PROJECT,
  'GET /v1/projects/:project/webhook-secret': { secret: 'whsec_…' },
  'POST /v1/projects/:project/webhook-secret/rotate': { secret: 'whsec_…' },
  'GET /v1/projects/:project/webhook-deliveries': { deliveries: [DELIVERY], next: null },
  'POST /v1/projects/:project/webhook-deliveries/replay': { replayed: 12 },
  'POST /v1/projects/:project/webhook-deliveries/:delivery/replay': { ...DELIVERY, state: 'waiting', attempts: 0, nextAttemptAt: AT, givenUpAt: null },
  'GET /v1/projects/:project/keys': { keys: [KEY], next: null },
  'POST /v1/projects/:project/keys': NEW_KEY,
  'POST /v1/projects/:project/keys/:key/rotate': NEW_KEY,
  'DELETE /v1/projects/:project/keys/:key': { allocationsClosed: 2 },
  'GET /v1/secrets/turn': SECRETS,
  'POST /v1/secrets/turn/rotate': SECRETS,
  'POST /v1/secrets/signing/rotate': { keyId: '89abcdef' },
  'GET /v1/integrations': { integrations: [INTEGRATION] },
  'POST /v1/integrations': NEW_INTEGRATION,
  'POST /v1/integrations/:name/rotate': NEW_INTEGRATION,
  'GET /v1/relays': { relays: [RELAY] },
  'GET /v1/relays/:relay': RELAY,
  'POST /v1/relays/:relay/drain': { ...RELAY, operation: { ...OPERATION, kind: 'drain' } },
  'POST /v1/relays/:relay/restart': { ...RELAY, operation: { ...OPERATION, kind: 'restart' } },
  'POST /v1/relays/:relay/upgrade': RELAY,
  'GET /v1/doctor': { findings: [FINDING], worst: 'failed', at: AT },
  'GET /turn': { ...TURN_REST, credential: CREDENTIAL, expiresAt: AT, iceServers: ICE_SERVERS },
  'POST /turn': { ...TURN_REST, credential: CREDENTIAL, expiresAt: AT, iceServers: ICE_SERVERS },
  'GET /ice': { iceServers: ICE_SERVERS, iceTransportPolicy: 'all' },
  'POST /2010-04-01/Accounts/:account/Tokens.json': { ttl: '3600', password: CREDENTIAL, username: USERNAME, account_sid: PROJECT.accountSid, ice_servers: [{ url: TURN[0], urls: TURN[0], username: USERNAME, credential: CREDENTIAL }], date_created: 'Sat, 21 Nov 2026 17:00:00 +0000', date_updated: 'Sat, 21 Nov 2026 17:00:00 +0000' },
  'POST /v1/turn/keys/:key/credentials/generate-ice-servers': { iceServers: ICE_SERVERS },
  'POST /v1/turn/keys/:key/credentials/generate': { iceServers: { urls: ['stun:turn.example:3478', ...TURN], username: USERNAME, credential: CREDENTIAL } },
  'GET /api/v1/turn/credentials': [{ urls: 'stun:turn.example:3478' }, { urls: TURN[0], username: USERNAME, credential: CREDENTIAL }],
  'POST /api/v1/turn/credential': { username: USERNAME, password: CREDENTIAL, expiryInSeconds: 3600, label: 'alice', apiKey: 'tpc_…' },
  'GET /_matrix/client/v3/voip/turnServer': TURN_REST,
  'GET /_matrix/client/r0/voip/turnServer': TURN_REST,
  'POST /call/:room/token': { token: 'eyJ…', url: 'wss://turnpike.example/v1/signal', expiresAt: AT },
}
