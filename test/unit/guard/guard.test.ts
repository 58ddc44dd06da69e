/** The guard before an engine that is ours: what many callers at once, and rude ones, do to it. */
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { versionContainer } from '../../../src/protocol/coturn-container.ts'
import { whenDone } from '../../kit/cleanup.ts'
import { scratchDirectory } from '../../kit/files.ts'
import { startGuard } from '../../kit/guard.ts'

const IMAGE = 'coturn:test'

/** An engine that has so many containers of this Turnpike, and takes its time to make another one. */
async function startEngine (has: number): Promise<{ socket: string, made: () => number }> {
  const containers = Array.from({ length: has }, (_, i) => ({ Id: String(i) }))
  const server = createServer((request, response) => {
    request.resume()
    const { method, url = '' } = request
    response.setHeader('content-type', 'application/json')
    if (url.startsWith('/containers/json')) response.end(JSON.stringify(containers))
    else if (method !== 'POST') response.writeHead(404).end('{}')
    else {
      setTimeout(() => {
        containers.push({ Id: 'new' })
        response.writeHead(201).end('{"Id":"new"}')
      }, 50)
    }
  })
  const socket = `${scratchDirectory()}/engine.sock`
  await new Promise<void>(resolve => server.listen(socket, resolve))
  whenDone(() => { server.close().closeAllConnections() })
  return { socket, made: () => containers.length - has }
}

test('of many that are made at once there are no more than the limit', async () => {
  const engine = await startEngine(62)
  const { ask } = await startGuard(scratchDirectory(), { engine: engine.socket, images: [IMAGE] })
  const { body } = versionContainer({ image: IMAGE, owner: 'a'.repeat(12) })
  const answers = await Promise.all(Array.from({ length: 12 }, async () => (await ask('POST', '/containers/create', body)).status))
  expect([engine.made(), answers.filter(status => status === 201).length, answers.filter(status => status === 403).length]).toEqual([2, 2, 10])
})

test('callers who would speak another protocol and then break off, or never end, neither end the guard nor keep its connections', async () => {
  const engine = await startEngine(0)
  const { socket, ask } = await startGuard(scratchDirectory(), { engine: engine.socket, images: [IMAGE] })
  const upgrade = 'GET /version HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n'
  // More than it takes at a time, none of which ends its side.
  const refused = await Promise.all(Array.from({ length: 200 }, async () => await new Promise<string>((resolve, reject) => {
    const caller = connect({ path: socket, allowHalfOpen: true }, () => caller.write(upgrade))
    whenDone(() => { caller.destroy() })
    caller.once('data', (said: Buffer) => resolve(said.toString())).once('error', reject).once('end', () => resolve('closed'))
  }))).then(answers => answers.filter(answer => answer.startsWith('HTTP/1.1 403')))
  expect(refused.length).toBeGreaterThan(0)
  for (let i = 0; i < 50; i++) {
    await new Promise<void>(resolve => {
      const caller = connect(socket, () => caller.write(upgrade.repeat(3), () => caller.destroy())).on('error', () => {}).once('close', () => resolve())
    })
  }
  expect((await ask('GET', '/containers/json?filters=%7B%22label%22%3A%5B%22a%22%5D%7D')).status).toBe(200)
})
