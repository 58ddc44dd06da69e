/**
 * What is done with each block of README.md and docs/*.md, so that none is there that nobody has tried: it is run, or checked in
 * another way. A block is told by words that stand in no other block of its page. JSON needs no entry: it must parse.
 */
import { asks, asThePageSays, deadLetters, everyCommand, inGo, integration, janus, override, pasted, runBy, settings, shellScript, signs, sizeOfVps, snippet, tokenServer, type Treatment } from './doc-treatments.ts'

export const TABLE: Readonly<Record<string, readonly (readonly [words: string, treatment: Treatment])[]>> = {
  'README.md': [
    ['npm test', runBy('test/integration/start.test.ts', 'npm start')],
    ['Turnpike is up: the relay is proved', runBy('test/integration/start.test.ts', 'Turnpike is up: the relay is proved')],
    ['/v1/turn/credentials', pasted('"iceServers":[{"urls":["stun:')],
    ['/v1/rooms/lobby/tokens', pasted('"token":"eyJ')],
    ['credentials revoke alice', async (block, reader) => {
      await pasted('alice')(block, reader)
      await reader.ask('DELETE', '/v1/turn/revocations/alice')
    }],
    // The doctor of a machine of tests has something to find.
    ['turnpike.mjs doctor', async (block, reader) => await pasted('relayed calls at a time')({ ...block, text: block.text.replaceAll('node bin/turnpike.mjs', 'turnpike').replace('doctor\n', 'doctor || [ $? = 1 ]\n') }, reader)],
  ],
  'docs/browser.md': [
    ['createServer', tokenServer],
    ['/sdk/turnpike.js', runBy('test/browser/docs.test.ts', 'docs/browser.md', '/sdk/turnpike.js')],
    ['new WebSocket(', runBy('test/browser/docs.test.ts', 'docs/browser.md', 'new WebSocket(')],
    ['/my-credentials', runBy('test/browser/docs.test.ts', 'docs/browser.md', '/my-credentials')],
  ],
  'docs/command-line.md': [['turnpike keys first', everyCommand]],
  'docs/credentials-from-your-server.md': [
    ['export TURNPIKE_URL', shellScript],
    ['curl', pasted('"iceServers":[{"urls":["stun:')],
    ['AbortSignal', asks('node')],
    ['urllib', asks('python3')],
    ['file_get_contents', asks('php')],
    ['net/http', inGo(asks('go'), '/v1/turn/credentials', 'Authorization', '"Bearer "', '"user"', '"ttl"')],
    ['openssl', signs('bash')],
    ["from 'node:crypto'", signs('node')],
    ['hashlib', signs('python3')],
    ['hash_hmac', signs('php')],
    ['crypto/hmac', inGo(signs('go'), 'sha1.New', 'base64.StdEncoding', '%d:u42')],
  ],
  'docs/dialects.md': [
    ['"dialects": ["peerjs"]', pasted('"dialects":["peerjs"]')],
    ['new Peer(', runBy('test/browser/docs.test.ts', 'docs/dialects.md', 'new Peer(')],
    ['"dialects": ["libdatachannel"]', pasted('"dialects":["libdatachannel"]', '"token":"eyJ')],
    ['createConnection(', runBy('test/browser/docs.test.ts', 'docs/dialects.md', 'createConnection(')],
    ['rpc Negotiate', async ({ text }, { url }) => {
      const served = await (await fetch(`${url}/v1/signaling.proto`)).text()
      if (!served.replace(/\s+/g, ' ').includes(/rpc .*;/.exec(text)?.[0].replace(';', '') ?? '\0')) throw new Error(`it is not what is served:\n${served}`)
    }],
    ['TURNPIKE_GRPC_PORT', async ({ text }, reader) => await pasted('grpc')({ page: '', line: 0, language: 'sh', text: text.replace(/^.*npm start\n/, '') }, reader)],
    ['@grpc/grpc-js', runBy('test/integration/docs.test.ts', 'docs/dialects.md', '@grpc/grpc-js')],
  ],
  'docs/doctor.md': [['no-multicast-peers', ({ text }) => { if (!text.includes('denied-peer-ip=127.0.0.0-127.255.255.255')) throw new Error('it is not that of scripts/docs.ts') }]],
  'docs/edge.md': [['TURNPIKE_HTTPS_PROXY_PROTOCOL_FROM', runBy('test/kit/edge.ts', 'TURNPIKE_EDGE_PORT', 'TURNPIKE_HTTPS_PROXY_PROTOCOL_FROM')]],
  'docs/http-api.md': [
    ['Idempotency-Key: order-1', pasted('"iceServers":[{"urls":["stun:')],
    ['twilio', async ({ text }, reader) => {
      const { accountSid } = await reader.ask('GET', '/v1/projects/default')
      const { code, out, err } = await reader.runProgram('node', 'mjs', `import { createRequire } from 'node:module'\nconst require = createRequire(import.meta.url)\nconst accountSid = '${String(accountSid)}'\n${text}console.log(iceServers[1].urls)\n`)
      if (code !== 0 || !out.startsWith('turn:')) throw new Error(out + err)
    }],
  ],
  'docs/integrations.md': [
    ['turn_rest_api', janus],
    ['integrations create', integration],
    ['homeserver.yaml', snippet('synapse')],
    ['occ talk', snippet('nextcloudTalk')],
    ['prosody.cfg.lua', snippet('prosody')],
    ['mediamtx.yml', snippet('mediamtx')],
    ['"galene"', snippet('galene')],
    ['-X OPTIONS', pasted('link: <turn:', 'rel="ice-server"')],
    ['format=uri', pasted('turn:1', '%3A')],
  ],
  'docs/operations.md': [
    ['relays:', settings],
    ['COMPOSE_PROFILES=full', runBy('test/compose/compose.test.ts', 'compose/compose.yaml')],
    ['bridge.yaml up', runBy('test/compose/bridge.test.ts', 'compose/bridge.yaml')],
    ['COMPOSE_FILE', runBy('test/compose/bridge.test.ts', 'COMPOSE_FILE=compose.yaml:bridge.yaml')],
    ['TURNPIKE_TLS_CERT', override],
    ['keys first --delete', runBy('test/compose/compose.test.ts', 'exec', 'turnpike', 'keys')],
    ['chown', runBy('test/compose/compose.test.ts', 'chown', '65534:65534')],
    ['TURNPIKE_ADMIN_KEY_FILE', override],
    ['projects:', settings],
  ],
  'docs/operators-life.md': [
    ['logs --follow', runBy('test/compose/operators-life.test.ts', 'up', '--domain', 'status', 'upgrade', 'uninstall')],
    ['turnpike backup', runBy('test/compose/operators-life.test.ts', 'docs/operators-life.md', 'umask 077')],
    ['turnpike restore $f', runBy('test/compose/operators-life.test.ts', 'docs/operators-life.md', 'restore')],
    ['systemctl stop turnpike', runBy('test/compose/systemd.test.ts', 'systemctl', 'turnpike')],
  ],
  'docs/quick-start.md': [
    ['up --domain', runBy('test/compose/operators-life.test.ts', 'up', '--domain')],
    ['TURNPIKE_DOMAIN=meet', runBy('test/compose/compose.test.ts', '--build', 'compose/compose.yaml')],
    ['turnpike doctor', runBy('test/compose/compose.test.ts', 'turnpike')],
    ['keys first', runBy('test/compose/compose.test.ts', 'turnpike', 'keys')],
    ['curl', pasted('"iceServers":[{"urls":["stun:')],
    ['npm start', runBy('test/integration/start.test.ts', 'npm')],
    ['TURNPIKE_DOMAIN=localhost', runBy('test/compose/compose.test.ts', 'compose/compose.yaml')],
  ],
  'docs/rooms.md': [
    ['-X PUT', runBy('test/integration/rooms.test.ts', 'docs/rooms.md', 'curl')],
    ['/rooms/standup/tokens', runBy('test/integration/rooms.test.ts', 'docs/rooms.md', 'curl')],
    ['curl -sS http://localhost:8080/v1/rooms/standup ', runBy('test/integration/rooms.test.ts', 'docs/rooms.md', 'curl')],
    ['eyJhbGciOiJIUzI1NiIs…', runBy('test/integration/rooms.test.ts', 'docs/rooms.md', 'eyJhbGciOiJIUzI1NiIs')],
  ],
  'docs/sdk.md': [
    ["from 'turnpike-client'", runBy('test/integration/docs.test.ts', 'docs/sdk.md', "from 'turnpike-client'")],
  ],
  'docs/signaling.md': [
    ['WebSocket(url', runBy('test/integration/docs.test.ts', 'docs/signaling.md', 'WebSocket(url')],
    ['turnpike.resume', runBy('test/integration/docs.test.ts', 'docs/signaling.md', 'turnpike.resume')],
  ],
  'docs/sizing.md': [
    ['turnpike size', pasted('relayed calls at a time')],
    ['This machine carries', sizeOfVps],
    // The formula; the block after it reckons with it.
    ['GB out', ({ text }) => { if (!text.includes('2 × kbit/s × 3600 / 8 / 1,000,000')) throw new Error('it is another formula than that of the block after it') }],
    ['awk', asThePageSays],
    ['turnpike usage', pasted()],
  ],
  'docs/tls.md': [
    ['TURNPIKE_DOMAIN=', runBy('test/integration/acme.test.ts', 'TURNPIKE_DOMAIN')],
    ['nsupdate', shellScript],
  ],
  'docs/topics.md': [
    ['event: removed', runBy('test/signaling/topics.test.ts', 'removed')],
    ['SOCKET_TOKEN } = process.env', runBy('test/signaling/topics.test.ts', 'docs/topics.md')],
    ['node topic-manager.mjs', runBy('test/signaling/topics.test.ts', 'docs/topics.md', 'topic-manager.mjs', 'SOCKET_TOKEN')],
  ],
  'docs/webhooks.md': [
    ['isFromTurnpike', runBy('test/signaling/webhooks.test.ts', 'docs/webhooks.md')],
    ['--state dead', deadLetters],
  ],
}
