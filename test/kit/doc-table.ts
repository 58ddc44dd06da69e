/**
 * What is done with each block of README.md and docs/*.md, so that none is there that nobody has tried: it is run, or checked in
 * another way. A block is told by words that stand in no other block of its page. JSON needs no entry: it must parse.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { parse } from 'yaml'
import { loadConfig } from '../../src/config/load.ts'
import { requireCompose } from './docker.ts'
import { scratchDirectory } from './files.ts'
import type { Block } from './doc-blocks.ts'
import type { Reader } from './reader.ts'

export type Treatment = (block: Block, reader: Reader) => Promise<void> | void

/** Pasted into a shell, it ends with 0, and what it prints holds these words. */
const pasted = (...words: string[]): Treatment => async ({ text }, reader) => {
  const { code, out, err } = await reader.paste(text)
  if (code !== 0) throw new Error(`it ended with ${code}:\n${out}${err}`)
  for (const word of words) if (!out.includes(word)) throw new Error(`it did not print ${word}:\n${out}`)
}

/** Another test runs it: that file holds these words, each of which stands in the block, or names the page. */
const runBy = (file: string, ...words: [string, ...string[]]): Treatment => ({ page, text }) => {
  const test = readFileSync(file, 'utf8')
  for (const word of words) {
    if (!test.includes(word)) throw new Error(`${file} does not hold ${word}`)
    if (word !== page && !text.includes(word)) throw new Error(`the block does not hold ${word}`)
  }
}

/** A settings file: every line of it is known and valid. */
const settings: Treatment = ({ text }) => {
  const { problems } = loadConfig({ env: { TURNPIKE_CONFIG: 'block.yaml' }, readFile: () => text })
  if (problems.length > 0) throw new Error(JSON.stringify(problems))
}

/** A compose.override.yaml: compose takes it together with ours. */
const override: Treatment = ({ text }) => {
  requireCompose()
  const file = `${scratchDirectory()}/compose.override.yaml`
  writeFileSync(file, text)
  const { PATH = '', HOME = '' } = process.env
  const merged = execFileSync('docker', ['compose', '-f', 'compose/compose.yaml', '-f', file, 'config'], { env: { PATH, HOME, TURNPIKE_DOMAIN: 'turn.example.org' }, encoding: 'utf8' })
  const flat = JSON.stringify((parse(merged) as { services: { turnpike: { environment: object } } }).services.turnpike.environment)
  for (const name of text.match(/\bTURNPIKE_\w+/g) ?? []) if (!flat.includes(name)) throw new Error(`${name} is not there:\n${flat}`)
}

const shellScript: Treatment = ({ text }) => { execFileSync('sh', ['-n'], { input: text }) }

async function enter (reader: Reader, room: string, peer: string): Promise<void> {
  const { token, url } = await reader.ask('POST', `/v1/rooms/${room}/tokens`, { peer }) as { token: string, url: string }
  const socket = new WebSocket(url, ['turnpike.v1', `turnpike.token.${token}`])
  await new Promise((resolve, reject) => {
    socket.onmessage = resolve
    socket.onerror = reject
  })
}

/** Every command of the page, in their order; the ones that need another relay or more than a shell are told apart. */
const everyCommand: Treatment = async ({ text }, reader) => {
  for (const peer of ['mallory', 'alice']) await enter(reader, 'lobby', peer)
  const [image = '', ...others] = text.match(/^.*relays upgrade.*\n/gm) ?? []
  if (image === '' || others.length > 0) throw new Error('one line is to replace coturn')
  const typed = text.replace(image, '').replace('turnpike doctor\n', 'turnpike doctor || true\n').replace('turnpike-backup.db', `${scratchDirectory()}/turnpike-backup.db`)
  const { code, out, err } = await reader.paste(typed)
  if (code !== 0) throw new Error(`it ended with ${code}:\n${out}${err}`)
  // Without Docker no image can be taken, and that is what it says.
  const refused = await reader.paste(image)
  if (refused.code === 0 || !/image/.test(refused.out + refused.err)) throw new Error(`not refused for its image: ${JSON.stringify(refused)}`)
}

const deadLetters: Treatment = async ({ text }, reader) => {
  await reader.paste('turnpike projects create shop || true')
  // An event of that name was never there; the commands around it are.
  const one = /^.*replay.* evt_\w+\n/m.exec(text)?.[0] ?? ''
  await pasted()({ page: '', line: 0, language: 'sh', text: text.replace(one, '') }, reader)
  const { err, out } = await reader.paste(one)
  if (!/evt_|not[ -]found/.test(out + err)) throw new Error(out + err)
}

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
    ['turnpike.mjs doctor', async (block, reader) => await pasted('relayed calls at a time')({ ...block, text: block.text.replace(/doctor\n/, 'doctor || true\n') }, reader)],
  ],
  'docs/command-line.md': [['turnpike keys first', everyCommand]],
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
  'docs/http-api.md': [
    ['Idempotency-Key: order-1', pasted('"iceServers":[{"urls":["stun:')],
    ['twilio', async ({ text }, reader) => {
      const { accountSid } = await reader.ask('GET', '/v1/projects/default')
      const { code, out, err } = await reader.runProgram('node', 'mjs', `import { createRequire } from 'node:module'\nconst require = createRequire(import.meta.url)\nconst accountSid = '${String(accountSid)}'\n${text}console.log(iceServers[1].urls)\n`)
      if (code !== 0 || !out.startsWith('turn:')) throw new Error(out + err)
    }],
  ],
  'docs/operations.md': [
    ['relays:', settings],
    ['compose.yaml up', runBy('test/compose/compose.test.ts', 'compose/compose.yaml')],
    ['TURNPIKE_TLS_CERT', override],
    ['keys first --delete', runBy('test/compose/compose.test.ts', 'exec', 'turnpike', 'keys')],
    ['chown', runBy('test/compose/compose.test.ts', 'chown', '65534:65534')],
    ['TURNPIKE_ADMIN_KEY_FILE', override],
    ['projects:', settings],
  ],
  'docs/rooms.md': [
    ['-X PUT', runBy('test/integration/rooms.test.ts', 'docs/rooms.md', 'curl')],
    ['/rooms/standup/tokens', runBy('test/integration/rooms.test.ts', 'docs/rooms.md', 'curl')],
    ['curl -sS http://localhost:8080/v1/rooms/standup ', runBy('test/integration/rooms.test.ts', 'docs/rooms.md', 'curl')],
    ['eyJhbGciOiJIUzI1NiIs…', runBy('test/integration/rooms.test.ts', 'docs/rooms.md', 'eyJhbGciOiJIUzI1NiIs')],
  ],
  'docs/sdk.md': [
    ['<script type="module">', runBy('test/browser/docs.test.ts', 'docs/sdk.md', '<script type="module">')],
    ["from 'turnpike-client'", runBy('test/integration/docs.test.ts', 'docs/sdk.md', "from 'turnpike-client'")],
  ],
  'docs/signaling.md': [
    ['WebSocket(url', runBy('test/integration/docs.test.ts', 'docs/signaling.md', 'WebSocket(url')],
    ['turnpike.resume', runBy('test/integration/docs.test.ts', 'docs/signaling.md', 'turnpike.resume')],
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
