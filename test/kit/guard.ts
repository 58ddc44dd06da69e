/** The Docker guard in this process, before the shared engine, ended with the test; and calls on it as a stranger makes them. */
import { request } from 'node:http'
import { connect } from 'node:net'
import { createGuard } from '../../src/guard/guard.ts'
import { whenDone } from './cleanup.ts'
import { COTURN_IMAGE } from './docker.ts'
import { scratchDirectory } from './files.ts'

export const ENGINE = '/var/run/docker.sock'
export type TestGuard = { /** For DOCKER_HOST. */ host: string, socket: string, log: string[], ask: (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Answered>, raw: (text: string) => Promise<string> }
export type Answered = { status: number, message: string, body: unknown }

export async function startGuard (dataDir: string, { images = [COTURN_IMAGE], engine = ENGINE }: { images?: string[], engine?: string } = {}): Promise<TestGuard> {
  const socket = `${scratchDirectory()}/docker.sock`
  const log: string[] = []
  const write = (fields: object, message: string): void => { log.push(`${message} ${JSON.stringify(fields)}`) }
  const guard = createGuard({ engine, listen: socket, dataDir, images, log: { debug: write, info: write, warn: write, error: write } })
  await guard.start()
  whenDone(() => guard.stop(1000))
  return { host: `unix://${socket}`, socket, log, ask: async (...asked) => await askOver(socket, ...asked), raw: async text => await rawOver(socket, text) }
}

/** The path goes out as it is written, and a body that is text too. */
export async function askOver (socketPath: string, method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answered> {
  const text = body === undefined ? undefined : body instanceof Buffer ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  return await new Promise((resolve, reject) => {
    const sent = request({ socketPath, method, path, headers: { ...(text === undefined ? {} : { 'content-type': 'application/json' }), ...headers }, agent: false }, response => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => {
        const answer = Buffer.concat(chunks).toString('utf8')
        const parsed = /^[[{]/.test(answer) ? JSON.parse(answer) as unknown : answer
        resolve({ status: response.statusCode ?? 0, message: String((parsed as { message?: string }).message ?? ''), body: parsed })
      })
    })
    sent.on('error', reject)
    sent.end(text)
  })
}

/** Bytes as they are, until the other end closes. */
async function rawOver (socketPath: string, text: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    let said = ''
    const socket = connect(socketPath, () => socket.write(text))
    socket.on('data', chunk => { said += chunk.toString('latin1') })
    socket.on('error', reject)
    socket.on('close', () => resolve(said))
  })
}
