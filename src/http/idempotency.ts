/**
 * Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): a POST that is repeated because its answer got lost is answered with that
 * answer. Kept in memory for an hour, because an answer holds credentials, which are to be nowhere at rest.
 */
import { createHash } from 'node:crypto'
import { TurnpikeError } from '../protocol/errors.ts'
import { DEEPEST_METADATA, isNestedDeeper } from '../protocol/frames.ts'
import type { App } from './app-type.ts'

type Kept = { digest: string, atMs: number, answer: { status: number, type: string, payload: string } | null }

const MOST_KEPT = 10_000
const KEPT_MS = 3_600_000
const LONGEST_ANSWER = 65_536
/** Metadata, and whatever stands around it. */
const DEEPEST_BODY = DEEPEST_METADATA + 8
const KEY = /^[\x21-\x7e]{1,255}$/

declare module 'fastify' {
  interface FastifyRequest {
    /** Under which its answer is to be kept. */
    idempotency: string | null
  }
}

export function repeatAnswers (app: App): void {
  const kept = new Map<string, Kept>()
  app.decorateRequest('idempotency', null)
  app.addHook('preHandler', async (request, reply) => {
    const key = request.headers['idempotency-key']
    if (key === undefined || request.routeOptions.config.idempotent !== true) return
    // A publishable key is everybody's, and so would its answers be.
    if (request.caller?.kind === 'project' && request.caller.publishable) return
    if (typeof key !== 'string' || !KEY.test(key)) throw new TurnpikeError('invalid-request', 'Idempotency-Key must be 1 to 255 visible ASCII characters', { fields: [{ field: 'Idempotency-Key', message: 'must be 1 to 255 visible ASCII characters' }] })
    const { caller, method, url, body } = request
    // Cannot be written recursively; no route takes it either.
    if (isNestedDeeper(body, DEEPEST_BODY)) return
    const name = [caller?.kind === 'project' ? `${caller.project} ${caller.keyId}` : `admin ${caller?.keyId}`, method, request.routeOptions.url, key].join(' ')
    const digest = createHash('sha256').update(`${url}\n${JSON.stringify(body)}`).digest('base64')
    const found = kept.get(name)
    if (found !== undefined && performance.now() - found.atMs < KEPT_MS) {
      if (found.digest !== digest) throw new TurnpikeError('idempotency-key-reused', 'it was sent before with another body or address')
      if (found.answer === null) throw new TurnpikeError('idempotency-key-busy', 'the first request is not answered yet', { retryAfterSeconds: 1 })
      return await reply.code(found.answer.status).type(found.answer.type).headers({ 'cache-control': 'no-store', 'idempotency-replayed': 'true' }).send(found.answer.payload)
    }
    makeRoom(kept)
    kept.set(name, { digest, atMs: performance.now(), answer: null })
    request.idempotency = name
  })
  app.addHook('onSend', async (request, reply, payload) => {
    const entry = request.idempotency === null ? undefined : kept.get(request.idempotency)
    if (entry === undefined || request.idempotency === null) return
    const isKept = reply.statusCode < 300 && typeof payload === 'string' && payload.length <= LONGEST_ANSWER
    // What went wrong may go well the next time.
    if (isKept) entry.answer = { status: reply.statusCode, type: String(reply.getHeader('content-type')), payload }
    else kept.delete(request.idempotency)
  })
}

function makeRoom (kept: Map<string, Kept>): void {
  for (const [name, { atMs }] of kept) {
    if (kept.size < MOST_KEPT && performance.now() - atMs < KEPT_MS) return
    kept.delete(name)
  }
}
