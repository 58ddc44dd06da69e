/** The health check of the image, as Docker would run it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { expect, test } from 'vitest'
import { whenDone } from '../kit/cleanup.ts'
import { freePorts } from '../kit/files.ts'

const [, words = '[]'] = /HEALTHCHECK[^]*?\n\s+CMD (\[.*\])/.exec(readFileSync('compose/Dockerfile', 'utf8')) ?? []
const [program = '', ...args] = JSON.parse(words) as string[]

async function exitWith (env: Record<string, string>): Promise<unknown> {
  const [code] = await once(spawn(program, args, { env: { PATH: process.env['PATH'], ...env }, stdio: 'ignore' }), 'exit')
  return code
}

test('it asks where plain HTTP listens', async () => {
  const [port = 0] = await freePorts(1, '127.0.0.7')
  const server = createServer((request, response) => response.writeHead(request.url === '/healthz' ? 200 : 404).end()).listen(port, '127.0.0.7')
  whenDone(() => { server.close().closeAllConnections() })
  await once(server, 'listening')
  expect(await exitWith({ TURNPIKE_HTTP_PORT: String(port), TURNPIKE_HTTP_HOST: '127.0.0.7' })).toBe(0)
  // On every address is on loopback too, where nobody listens here.
  expect(await Promise.all(['', '0.0.0.0', '::'].map(async host => await exitWith({ TURNPIKE_HTTP_PORT: String(port), TURNPIKE_HTTP_HOST: host })))).toEqual([1, 1, 1])
})
