/** What can be done with a block of the documentation. Each throws where the block does not do what it says. */
import { execFileSync } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { parse } from 'yaml'
import { renderSize } from '../../src/cli/size.ts'
import { loadConfig } from '../../src/config/load.ts'
import { sizeOf } from '../../src/config/sizing.ts'
import { snippetsOf } from '../../src/http/integration-snippets.ts'
import { requireCompose } from './docker.ts'
import { freePorts, scratchDirectory } from './files.ts'
import type { Block } from './doc-blocks.ts'
import type { Reader } from './reader.ts'

export type Treatment = (block: Block, reader: Reader) => Promise<void> | void

/** Pasted into a shell, it ends with 0, and what it prints holds these words. */
export const pasted = (...words: string[]): Treatment => async ({ text }, reader) => {
  const { code, out, err } = await reader.paste(text)
  if (code !== 0) throw new Error(`it ended with ${code}:\n${out}${err}`)
  for (const word of words) if (!out.includes(word)) throw new Error(`it did not print ${word}:\n${out}`)
}

/** Another test runs it: that file holds these words, each of which stands in the block, or names the page. */
export const runBy = (file: string, ...words: [string, ...string[]]): Treatment => ({ page, text }) => {
  const test = readFileSync(file, 'utf8')
  for (const word of words) {
    if (!test.includes(word)) throw new Error(`${file} does not hold ${word}`)
    if (word !== page && !text.includes(word)) throw new Error(`the block does not hold ${word}`)
  }
}

/** A settings file: every line of it is known and valid. */
export const settings: Treatment = ({ text }) => {
  const { problems } = loadConfig({ env: { TURNPIKE_CONFIG: 'block.yaml' }, readFile: () => text })
  if (problems.length > 0) throw new Error(JSON.stringify(problems))
}

/** A compose.override.yaml: compose takes it together with ours. */
export const override: Treatment = ({ text }) => {
  requireCompose()
  const file = `${scratchDirectory()}/compose.override.yaml`
  writeFileSync(file, text)
  const { PATH = '', HOME = '' } = process.env
  const merged = execFileSync('docker', ['compose', '-f', 'compose/compose.yaml', '-f', file, 'config'], { env: { PATH, HOME, TURNPIKE_DOMAIN: 'meet.example.org' }, encoding: 'utf8' })
  const flat = JSON.stringify((parse(merged) as { services: { turnpike: { environment: object } } }).services.turnpike.environment)
  for (const name of text.match(/\bTURNPIKE_\w+/g) ?? []) if (!flat.includes(name)) throw new Error(`${name} is not there:\n${flat}`)
}

export const shellScript: Treatment = ({ text }) => { execFileSync('sh', ['-n'], { input: text }) }

async function enter (reader: Reader, room: string, peer: string): Promise<void> {
  const { token, url } = await reader.ask('POST', `/v1/rooms/${room}/tokens`, { peer }) as { token: string, url: string }
  const socket = new WebSocket(url, ['turnpike.v1', `turnpike.token.${token}`])
  await new Promise((resolve, reject) => {
    socket.onmessage = resolve
    socket.onerror = reject
  })
}

/** Every command of the page, in their order; the ones that need another relay or more than a shell are told apart. */
export const everyCommand: Treatment = async ({ text }, reader) => {
  for (const peer of ['mallory', 'alice']) await enter(reader, 'lobby', peer)
  const [image = '', ...others] = text.match(/^.*relays upgrade.*\n/gm) ?? []
  if (image === '' || others.length > 0) throw new Error('one line is to replace coturn')
  const typed = text.replace(image, '').replace('turnpike doctor\n', 'turnpike doctor || [ $? = 1 ]\n').replace('turnpike-backup.db', `${scratchDirectory()}/turnpike-backup.db`)
  const { code, out, err } = await reader.paste(typed)
  if (code !== 0) throw new Error(`it ended with ${code}:\n${out}${err}`)
  // Without Docker no image can be taken, and that is what it says.
  const refused = await reader.paste(image)
  if (refused.code === 0 || !/image/.test(refused.out + refused.err)) throw new Error(`not refused for its image: ${JSON.stringify(refused)}`)
}

export const deadLetters: Treatment = async ({ text }, reader) => {
  await reader.paste('turnpike projects create shop || true')
  // An event of that name was never there; the commands around it are.
  const one = /^.*replay.* evt_\w+\n/m.exec(text)?.[0] ?? ''
  await pasted()({ page: '', line: 0, language: 'sh', text: text.replace(one, '') }, reader)
  const { err, out } = await reader.paste(one)
  if (!/evt_|not[ -]found/.test(out + err)) throw new Error(out + err)
}

const PACKAGES: Record<string, string> = { python3: 'python3', php: 'php-cli' }
const ENDINGS: Record<string, string> = { node: 'mjs', python3: 'py', php: 'php', go: 'go', bash: 'sh' }

async function printed (program: string, { text }: Block, reader: Reader, env: Record<string, string> = {}): Promise<string> {
  const { code, out, err } = await reader.runProgram(program, ENDINGS[program] ?? '', text, env)
  if (code === 127 && PACKAGES[program] !== undefined) throw new Error(`${program} is missing: apt-get install ${PACKAGES[program]}`)
  if (code !== 0) throw new Error(`${program} ended with ${code}:\n${out}${err}`)
  return out
}

/** A program that asks for a credential and prints the answer. */
export const asks = (program: string): Treatment => async (block, reader) => {
  const { iceServers, username } = JSON.parse(await printed(program, block, reader)) as { iceServers: { urls: string[] }[], username: string }
  if (!username.includes('.u42.') || iceServers[1]?.urls[0]?.startsWith('turn:') !== true) throw new Error(JSON.stringify([username, iceServers]))
}

/** A program that signs a credential, and prints user name and password. */
export const signs = (program: string): Treatment => async (block, reader) => {
  const secret = 'a secret of an integration'
  const [username = '', password] = (await printed(program, block, reader, { TURN_SECRET: secret })).trim().split(' ')
  const left = Number(username.split(':')[0]) - Date.now() / 1000
  if (!/^\d+:u42$/.test(username) || left < 3000 || left > 3601) throw new Error(`user name: ${username}`)
  if (password !== createHmac('sha1', secret).update(username).digest('base64')) throw new Error(`password: ${password}`)
}

/**
 * Go is not among what npm test installs: its compiler has 464 MB. Where it is, the program runs; where it is not, this says so, and
 * holds that it names the same things as the others.
 */
export const inGo = (run: Treatment, ...words: string[]): Treatment => async (block, reader) => {
  for (const word of words) if (!block.text.includes(word)) throw new Error(`it does not hold ${word}`)
  if ((process.env['PATH'] ?? '').split(':').some(directory => existsSync(`${directory}/go`))) return await run(block, reader)
  process.stderr.write(`${block.page}:${block.line} was not run: there is no go here\n`)
}

/** What `turnpike integrations create` prints for that program, at the address that the documentation uses. */
export const snippet = (program: string): Treatment => ({ text }) => {
  const ports = ['udp', 'tcp'].map(transport => `turn:meet.example.org:3478?transport=${transport}`)
  const printed = snippetsOf('SECRET', ports)[program]
  if (text !== printed) throw new Error(`it prints:\n${printed}`)
}

/** Integrations are for coturn 4.13 and newer; the command is there, and says that of an older one. */
export const integration: Treatment = async ({ text }, reader) => {
  const { code, out, err } = await reader.paste(text)
  if (code === 0 ? !out.includes('synapse') : !/integration-unsafe/.test(out + err)) throw new Error(out + err)
}

/** Janus asks as its turnrest.c does: the key under both of its names. */
export const janus: Treatment = async ({ text }, reader) => {
  const { turn_rest_api: api = '', turn_rest_api_key: key = '', turn_rest_api_method: method = '' } = Object.fromEntries([...reader.here(text).matchAll(/(\w+) = "(.*)"/g)].map(([, name, value]) => [name, value])) as Record<string, string>
  const answer = await fetch(`${api}?${new URLSearchParams({ service: 'turn', api: key, key, username: 'janus-1' }).toString()}`, { method })
  const { uris, username, password, ttl } = await answer.json() as Record<string, unknown>
  if (!Array.isArray(uris) || typeof username !== 'string' || typeof password !== 'string' || !Number.isInteger(ttl)) throw new Error(`${answer.status}`)
}

/** The machine that docs/sizing.md speaks of. */
export const sizeOfVps: Treatment = ({ text }) => {
  const machine = { cores: 2, memoryBytes: 4 * 2 ** 30, fdLimit: 1024 * 1024 }
  const shown = renderSize({ ...sizeOf({ ...machine, portRange: 2000, capacityBytesPerSecond: null }), machine, ports: { first: 49160, last: 51159 }, kernel: [] })
  if (text !== shown) throw new Error(`it prints:\n${shown}`)
}

/** The same result as the page says in words. */
export const asThePageSays: Treatment = async (block, reader) => {
  const out = (await printed('bash', block, reader)).trim()
  if (!readFileSync(block.page, 'utf8').includes(`\`${out}\``)) throw new Error(`it prints ${out}`)
}

/** A server of the reader's own: it gives out what a page joins with. */
export const tokenServer: Treatment = async ({ text }, reader) => {
  const [port = 0] = await freePorts(1)
  const asking = `
for (let left = 200; left > 0; left--) {
  const answer = await fetch('http://127.0.0.1:${port}/my-token').catch(() => null)
  if (answer !== null) { console.log(answer.status, Object.keys(await answer.json()).join()); process.exit() }
  await new Promise(resolve => setTimeout(resolve, 20))
}`
  const { out, err } = await reader.runProgram('node', 'mjs', text + asking, { PORT: String(port) })
  if (!out.startsWith('201 token,')) throw new Error(out + err)
}
