import { once } from 'node:events'
import Fastify from 'fastify'
import { expect, onTestFinished, test } from 'vitest'
import WebSocket from 'ws'
import type { App } from '../../../src/http/app-type.ts'
import { serveAyame } from '../../../src/http/dialects/ayame.ts'
import { acceptWebSockets } from '../../../src/http/websocket.ts'
import { until } from '../../kit/files.ts'

test('nothing is left of a client that was refused and has gone', async () => {
  const app = Fastify() as unknown as App
  onTestFinished(async () => { await app.close() })
  await acceptWebSockets(app, 65_536)
  serveAyame(app, { access: { projects: { get: () => undefined } }, allowedOrigins: ['*'], anonymousCapacity: 2, heartbeatSeconds: 10, signaling: {} } as never)
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const client = new WebSocket(`${url.replace('http', 'ws')}/ayame`)
  await once(client, 'open')
  const connections = async (): Promise<number> => await new Promise(resolve => { app.server.getConnections((_, count) => resolve(count)) })
  expect(await connections()).toBe(1)
  client.send('{"type":"register","roomId":"r"}')
  const [frame] = await once(client, 'message') as [Buffer]
  expect(JSON.parse(frame.toString())).toEqual({ type: 'reject', reason: 'token-missing' })
  await until('the server has forgotten the socket', async () => await connections() === 0)
})
