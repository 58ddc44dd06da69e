/** The Docker engine on its socket, over plain HTTP: nothing but what is named here is ever written to it. */
import { request, type IncomingMessage } from 'node:http'
import { Refused } from './refused.ts'

export type EngineCall = { method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, query?: Readonly<Record<string, string>>, body?: { type: string, bytes: Buffer } }
export type Engine = {
  /** The answer, as soon as its head is there. Throws Refused with 502 where the engine does not answer. */
  open (call: EngineCall, signal?: AbortSignal): Promise<IncomingMessage>
  /** The whole answer as JSON; undefined where there is no such thing (404). Throws Refused for every other answer. */
  json (path: string, query?: EngineCall['query']): Promise<unknown>
}

export function engineAt (socketPath: string): Engine {
  const open: Engine['open'] = async ({ method, path, query = {}, body }, signal) => await new Promise((resolve, reject) => {
    const asked = Object.keys(query).length === 0 ? path : `${path}?${new URLSearchParams(query)}`
    const headers = { host: 'docker', ...(body === undefined ? {} : { 'content-type': body.type, 'content-length': body.bytes.length }) }
    const sent = request({ socketPath, method, path: asked, headers, agent: false, ...(signal === undefined ? {} : { signal }) }, resolve)
    sent.on('error', error => reject(new Refused(`the Docker engine does not answer at ${socketPath}: ${error.message}`, 502)))
    sent.end(body?.bytes)
  })
  return {
    open,
    json: async (path, query = {}) => {
      const answer = await open({ method: 'GET', path, query })
      const chunks: Buffer[] = []
      for await (const chunk of answer) chunks.push(chunk as Buffer)
      const text = Buffer.concat(chunks).toString('utf8')
      if (answer.statusCode === 404) return undefined
      if (answer.statusCode !== 200) throw new Refused(`the Docker engine answers ${answer.statusCode}`, 502)
      return JSON.parse(text) as unknown
    },
  }
}
