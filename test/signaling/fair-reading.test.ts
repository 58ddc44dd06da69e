/** A socket has its part of the server's time and no more, whatever it writes: seen by what comes first, not by the clock. */
import { beforeAll, expect, test } from 'vitest'
import { startApp, type TestApp } from '../kit/app.ts'
import { cleanUpAfterFile } from '../kit/cleanup.ts'
import { until } from '../kit/files.ts'
import { joinAs, tokenFor, type Peer } from '../kit/peer.ts'
import { frameOf, openRaw, OPCODE, repeated } from '../kit/raw-socket.ts'

cleanUpAfterFile()
let app: TestApp
beforeAll(async () => { app = await startApp({ TURNPIKE_SIGNALING_SIGNALS_BURST: '200', TURNPIKE_SIGNALING_SIGNALS_PER_SECOND: '50' }) })

const portOf = (of: TestApp): number => Number(new URL(of.url()).port)
const signals = (peer: Peer, from: string): number => peer.frames.filter(frame => frame.type === 'signal' && frame['from'] === from).length

test('what one has written at once does not come before what another writes then; it all comes, in its order', async () => {
  const wide = await startApp({ TURNPIKE_SIGNALING_SIGNALS_PER_SECOND: '100000', TURNPIKE_SIGNALING_SIGNALS_BURST: '100000' })
  const [a, b] = [await joinAs(wide, 'r', 'a'), await joinAs(wide, 'r', 'b')]
  const much = await openRaw(portOf(wide), await tokenFor(wide, 'r', { peer: 'much' }))
  await a.next('peer-joined')
  // All of it is with the kernel before the server, which is this process, reads anything.
  much.write(Buffer.concat(Array.from({ length: 5000 }, (_, i) => frameOf(OPCODE.text, `{"type":"signal","to":"a","data":${i}}`))))
  b.send({ type: 'signal', to: 'a', data: 'hello' })
  await until('the other is heard', () => signals(a, 'b') === 1)
  const before = a.frames.slice(0, a.frames.findIndex(({ from }) => from === 'b')).filter(({ from }) => from === 'much').length
  expect(before).toBeLessThan(500)
  await until('all of it', () => signals(a, 'much') === 5000, 20_000)
  expect(a.frames.filter(({ from }) => from === 'much').map(({ data }) => data)).toEqual(Array.from({ length: 5000 }, (_, i) => i))
  much.destroy()
})

test('a frame that comes in many reads, and many large ones, arrive whole', async () => {
  const [a, b] = [await joinAs(app, 'large', 'a'), await joinAs(app, 'large', 'b')]
  for (let i = 0; i < 20; i++) a.send({ type: 'signal', to: 'b', data: `${i} ${'é'.repeat(30_000)}` })
  await until('all of them', () => signals(b, 'a') === 20)
  expect(b.frames.filter(({ from }) => from === 'a').map(({ data }) => data)).toEqual(Array.from({ length: 20 }, (_, i) => `${i} ${'é'.repeat(30_000)}`))
})

test('what was said before a goodbye counts, however much it was', async () => {
  const [a, b] = [await joinAs(app, 'goodbye', 'a'), await joinAs(app, 'goodbye', 'b')]
  for (let i = 0; i < 150; i++) a.send({ type: 'signal', to: 'b', data: i })
  a.socket.close(1000)
  expect(await b.next('peer-left')).toMatchObject({ id: 'a', reason: 'left' })
  expect(signals(b, 'a')).toBe(150)
})

test('whoever is over its rate is not read on: told so, closed with 4129, and ended with most of a torrent unread', async () => {
  const torrent = await openRaw(portOf(app), await tokenFor(app, 'torrent', { peer: 'torrent' }))
  let heard = ''
  torrent.on('data', (bytes: Buffer) => { heard += bytes.toString('latin1') })
  const block = repeated([frameOf(OPCODE.text, '{"type":"signal","to":"*","data":0}')], 65_536)
  let written = 0
  const write = (): void => { do written += block.length; while (!torrent.destroyed && torrent.write(block)) }
  torrent.on('drain', write)
  write()
  await until('the end', () => torrent.destroyed, 30_000)
  expect(heard).toContain('rate-limited')
  expect(heard).toContain('"code":"flooding"')
  expect(heard).toContain(`${String.fromCharCode(4129 >> 8, 4129 & 255)}Frames came too fast`)
  // The kernel has room for a few megabytes between the two; read as it came, it would have been hundreds.
  expect(written).toBeLessThan(64 * 1024 * 1024)
})

test('pings and pongs that nobody asked for count like frames', async () => {
  const a = await joinAs(app, 'pongs', 'a')
  for (let i = 0; i < 1500; i++) a.socket.pong()
  await until('the close', () => a.closed !== null, 30_000)
  expect(a.closed?.code).toBe(4129)
  const b = await joinAs(app, 'pings', 'b')
  let pongs = 0
  b.socket.on('pong', () => { pongs++ })
  const timer = setInterval(() => { if (b.socket.readyState === b.socket.OPEN) for (let i = 0; i < 20; i++) b.socket.ping() }, 5)
  await until('the close', () => b.closed !== null, 30_000)
  clearInterval(timer)
  expect(b.closed?.code).toBe(4129)
  expect(pongs).toBeGreaterThan(200)
})

test('a message in a few pieces is one; in hundreds it is refused', async () => {
  const [a, b] = [await joinAs(app, 'pieces', 'a'), await joinAs(app, 'pieces', 'b')]
  const frame = '{"type":"signal","to":"b","data":"in pieces"}'
  for (const [i, letter] of [...frame].entries()) a.socket.send(letter, { fin: i === frame.length - 1 })
  expect(await b.next('signal')).toMatchObject({ data: 'in pieces' })
  for (let i = 0; i < 300; i++) a.socket.send('', { fin: false })
  await until('the close', () => a.closed !== null)
  expect(a.closed?.code).toBe(1008)
})
