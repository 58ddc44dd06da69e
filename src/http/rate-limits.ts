/** How many requests are answered: by key and by project where there is a key, by client address where there is none, or a wrong one. */
import rateLimit from '@fastify/rate-limit'
import { isIPv6 } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Access } from '../access/access.ts'
import type { Config } from '../config/schema.ts'
import { TurnpikeError } from '../protocol/errors.ts'
import type { App } from './app-type.ts'

type Needs = { access: Pick<Access, 'projects'>, limits: Config['limits'] }
export type RateLimits = {
  /** Counts a request against its address. Throws too-many-requests. */
  countAddress (request: FastifyRequest): Promise<void>
  /** Counts a request that has a caller. Throws too-many-requests or quota-exceeded. */
  countCaller (request: FastifyRequest, reply: FastifyReply): Promise<void>
}

const WINDOW = { timeWindow: 60_000, cache: 10_000 }

/** Must be called before the routes that have limits of their own. */
export async function limitRequests (app: App, { access, limits }: Needs): Promise<RateLimits> {
  await app.register(rateLimit, { global: false })
  const ofAddress = app.createRateLimit({ ...WINDOW, max: limits.requestsPerMinutePerAddress, keyGenerator: addressOf })
  const ofKey = app.createRateLimit({ ...WINDOW, max: limits.requestsPerMinutePerKey, keyGenerator: ({ caller }) => `${caller?.kind} ${caller?.keyId}` })
  const ofProject = app.createRateLimit({ ...WINDOW, max: request => projectLimit(request, access) ?? Infinity, keyGenerator: callersProject })
  const ofPage = app.createRateLimit({ ...WINDOW, max: limits.publishablePerMinutePerAddress, keyGenerator: request => `${request.caller?.keyId} ${addressOf(request)}` })
  return {
    countAddress: async request => {
      const { limit, over, seconds } = verdictOf(await ofAddress(request))
      if (over) throw new TurnpikeError('too-many-requests', `${limit} requests a minute are answered to one address`, { retryAfterSeconds: seconds })
    },
    countCaller: async (request, reply) => {
      const { caller } = request
      // The page first: what one visitor is refused must not use up what the project has.
      if (caller?.kind === 'project' && caller.publishable) requireLeft(await ofPage(request), reply, limit => `a publishable key is answered ${limit} times a minute for one address`)
      requireLeft(await ofKey(request), reply, limit => `${limit} requests a minute are answered to one key`)
      if (projectLimit(request, access) !== null) {
        const { limit, over, seconds } = showTightest(await ofProject(request), reply)
        if (over) throw projectExceeded(limit, seconds)
      }
    },
  }
}

/** An IPv6 subscriber has a /64 at least, and could come from another address each time. */
function addressOf ({ ip }: FastifyRequest): string {
  return isIPv6(ip) && !ip.startsWith('::ffff:') ? expanded(ip).slice(0, 4).join(':') : ip
}

function expanded (ip: string): string[] {
  const [head = '', tail] = (ip.split('%')[0] ?? '').toLowerCase().split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  return tail === undefined ? left : [...left, ...Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => '0'), ...right]
}

function callersProject ({ caller }: FastifyRequest): string {
  return caller?.kind === 'project' ? caller.project : ''
}

function projectLimit (request: FastifyRequest, { projects }: Pick<Access, 'projects'>): number | null {
  return projects.get(callersProject(request))?.settings.quotas.requestsPerMinute ?? null
}

function projectExceeded (limit: number, seconds: number): TurnpikeError {
  const message = `${limit} requests were answered in this minute; it resets in ${seconds} s`
  return new TurnpikeError('quota-exceeded', `requestsPerMinute: ${message}`, { fields: [{ field: 'quotas.requestsPerMinute', message }], retryAfterSeconds: seconds })
}

type Counted = Awaited<ReturnType<ReturnType<App['createRateLimit']>>>
type Verdict = { limit: number, left: number, over: boolean, seconds: number }

function verdictOf (counted: Counted): Verdict {
  if (counted.isAllowed) return { limit: 0, left: 0, over: false, seconds: 0 }
  return { limit: counted.max, left: counted.remaining, over: counted.isExceeded, seconds: Math.max(1, counted.ttlInSeconds) }
}

/** Of several limits, the headers tell of the one that has least left. */
function showTightest (counted: Counted, reply: FastifyReply): Verdict {
  const verdict = verdictOf(counted)
  const shown = reply.getHeader('ratelimit-remaining')
  if (shown === undefined || verdict.left < Number(shown)) reply.header('ratelimit-limit', verdict.limit).header('ratelimit-remaining', verdict.left).header('ratelimit-reset', verdict.seconds)
  return verdict
}

function requireLeft (counted: Counted, reply: FastifyReply, words: (limit: number) => string): void {
  const { limit, over, seconds } = showTightest(counted, reply)
  if (over) throw new TurnpikeError('too-many-requests', words(limit), { retryAfterSeconds: seconds })
}
