/** What README.md and docs/ show is run, or checked in another way: test/kit/doc-table.ts says of each block which. */
import { beforeAll, expect, test } from 'vitest'
import { blocksOf, blockWith, pages, type Block } from '../kit/doc-blocks.ts'
import { TABLE } from '../kit/doc-table.ts'
import { cleanUpAfterFile } from '../kit/cleanup.ts'
import { freePorts } from '../kit/files.ts'
import { startReader, type Reader } from '../kit/reader.ts'

cleanUpAfterFile()
let reader: Reader
let grpc = ''
beforeAll(async () => {
  const [port] = await freePorts(1)
  grpc = `127.0.0.1:${port}`
  reader = await startReader({ TURNPIKE_GRPC_PORT: String(port), TURNPIKE_RELAY_HAND_OVER_SECONDS: '0' })
})

const all = pages().flatMap(blocksOf)
const treatmentsOf = ({ page, text }: Block) => (TABLE[page] ?? []).filter(([words]) => text.includes(words))
const untold = (block: Block): boolean => treatmentsOf(block).length === 0

test('every block is told in the table, once; and the table tells of none that is not there', () => {
  const wrong = all.filter(block => treatmentsOf(block).length > 1 || (untold(block) && block.language !== 'json'))
  expect(wrong.map(({ page, line }) => `${page}:${line}`), 'test/kit/doc-table.ts says how each is tried').toEqual([])
  const stale = Object.entries(TABLE).flatMap(([page, entries]) => entries.filter(([words]) => all.filter(block => block.page === page && block.text.includes(words)).length !== 1).map(([words]) => `${page}: ${words}`))
  expect(stale).toEqual([])
})

test('every example in JSON is JSON', () => {
  const examples = all.filter(block => block.language === 'json' && untold(block))
  expect(examples.length).toBeGreaterThan(5)
  for (const { text } of examples) expect(JSON.parse(text)).toEqual(expect.any(Object))
})

test.each(all.filter(block => !untold(block)).map(block => [`${block.page}:${block.line}`, block] as const))('%s', async (_place, block) => {
  for (const [, treatment] of treatmentsOf(block)) await expect(Promise.resolve(treatment(block, reader))).resolves.toBeUndefined()
})

const tokenOf = async (room: string, peer: string, more: object = {}) => await reader.ask('POST', `/v1/rooms/${room}/tokens`, { peer, ...more }) as { token: string, url: string }

test('the sockets of docs/signaling.md: one that joins, and one that resumes', async () => {
  const { token, url } = await tokenOf('sockets', 'alice')
  const program = `const [url, token] = ${JSON.stringify([url, token])}
const welcome = async socket => JSON.parse((await new Promise((resolve, reject) => { socket.onmessage = resolve; socket.onerror = reject })).data)
const first = await (async () => { ${blockWith('docs/signaling.md', 'WebSocket(url').text} return await welcome(socket) })()
const { resume } = first, seq = 0
const second = await (async () => { ${blockWith('docs/signaling.md', 'turnpike.resume').text} return await welcome(socket) })()
console.log(first.resumed, second.resumed)
process.exit()`
  expect(await reader.runProgram('node', 'mjs', program)).toMatchObject({ code: 0, out: 'false true\n' })
})

test('the peer of docs/sdk.md in Node.js answers what it is sent', async () => {
  const { text } = blockWith('docs/sdk.md', "from 'turnpike-client'")
  const [pong, ping] = [await tokenOf('node', 'pong'), await tokenOf('node', 'ping')]
  const program = `const [url, getToken] = [${JSON.stringify(pong.url)}, async () => ${JSON.stringify(pong.token)}]
join(${JSON.stringify(ping)}).then(room => {
  room.on('signal', ({ from, data }) => { console.log(from, JSON.stringify(data)); process.exit() })
  const greet = ({ id }) => room.send(id, 'hello')
  room.peers.forEach(greet)
  room.on('peer-joined', greet)
})
${text.replace("'turnpike-client'", "'./sdk/turnpike.js'")}`
  expect(await reader.runProgram('node', 'mjs', program)).toMatchObject({ code: 0, out: 'pong {"pong":"hello"}\n' })
})

test('the client of docs/dialects.md dials a worker over gRPC', async () => {
  await reader.ask('PATCH', '/v1/projects/default', { dialects: ['grpc'] })
  const { text } = blockWith('docs/dialects.md', '@grpc/grpc-js')
  const [client, worker] = [await tokenOf('work', 'client-1'), await tokenOf('work', 'worker-7')]
  // A worker of the same file: it answers what it is offered.
  const program = text.replace('127.0.0.1:8082', grpc).replace('signaling.proto', `${process.cwd()}/src/protocol/signaling.proto`)
    .replace('const { turnpike }', `const roomToken = '${client.token}'
const connection = { createOffer: async () => ({ type: 'offer', sdp: 'v=0' }), setLocalDescription: async () => connection.onicecandidate({ candidate: { candidate: 'candidate:1' } }), addIceCandidate: () => {} }
const begin = servers => console.log('servers', servers.length > 0)
const accept = async answer => { console.log(answer.sdp); setTimeout(() => process.exit(), 100) }
const { turnpike }`)
  const other = `
const its = new Metadata()
its.set('authorization', 'Bearer ${worker.token}')
const working = new turnpike.v1.Signaling('${grpc}', credentials.createInsecure()).Negotiate(its)
working.on('data', ({ event, peer }) => { if (event === 'OFFER') working.write({ peer, event: 'ANSWER', message: Buffer.from('{"type":"answer","sdp":"answered"}') }) })`
  const said = await reader.runProgram('node', 'mjs', program + other)
  expect(said, said.err).toMatchObject({ code: 0, out: 'servers true\nanswered\n' })
})
