/** /healthz: the process is there. /readyz: the relay is proved and the store writes; and if not, why and what to do. */
import Type from 'typebox'
import { errorEntry, type ErrorCode } from '../../protocol/errors.ts'
import type { Relay, RelayHealth } from '../../relay/relay.ts'
import type { App } from '../app-type.ts'

/** Of certificates by ACME. */
export type CertificateStatus = { ready: boolean, problem: { code: ErrorCode, reason: string } | null, nextTryAt: number | null }
export type HealthNeeds = { relay: Pick<Relay, 'health'>, certificateStatus: () => CertificateStatus | null, isStoreWritable: () => boolean, isStopping: () => boolean }

const Finding = Type.Object({ ready: Type.Boolean(), code: Type.Optional(Type.String()), reason: Type.Optional(Type.String()), cure: Type.Optional(Type.String()) }, { additionalProperties: true })
const Readiness = Type.Object({ ready: Type.Boolean(), relay: Finding, store: Finding, certificate: Type.Optional(Finding) })

type ReadinessFinding = { ready: boolean, [more: string]: unknown }

const REMEMBER_MS = 1000

export function answerHealth (app: App, { relay, certificateStatus, isStoreWritable, isStopping }: HealthNeeds): void {
  const isWritable = remembered(isStoreWritable)
  app.get('/healthz', { config: { access: 'public', unlimited: true }, schema: { summary: 'Does the process live?', tags: ['Health'], security: [], response: { 200: Type.Object({ status: Type.Literal('ok') }) } } }, (_request, reply) => {
    reply.header('cache-control', 'no-store').send({ status: 'ok' })
  })
  app.get('/readyz', { config: { access: 'public', unlimited: true }, schema: { summary: 'Is everything proved? If not, why, and what to do.', tags: ['Health'], security: [], response: { 200: Readiness, 503: Readiness } } }, (_request, reply) => {
    const health = relay.health()
    const writable = isWritable()
    const ready = health.ready && writable && !isStopping()
    reply.code(ready ? 200 : 503).header('cache-control', 'no-store').send({ ready, relay: relayFinding(health), store: { ready: writable, ...(writable ? {} : explained('data-dir-unwritable', 'a write was tried and failed')) }, ...certificateFinding(certificateStatus()) })
  })
}

/** Nobody is turned away for it: TURN without TLS serves meanwhile. */
function certificateFinding (status: CertificateStatus | null): { certificate?: ReadinessFinding } {
  if (status === null) return {}
  const { ready, problem, nextTryAt } = status
  return { certificate: { ready, ...(problem === null ? {} : explained(problem.code, problem.reason)), ...(nextTryAt === null ? {} : { nextTryAt }) } }
}

/** What is wrong, in the words of the log and the summary; what the checks saw, without their details. */
function relayFinding ({ ready, code, reason, state, driver, version, checks }: RelayHealth): ReadinessFinding {
  return {
    ready,
    state,
    driver,
    ...(version === null ? {} : { version }),
    ...(code === null ? {} : explained(code, reason)),
    checks: checks.map(({ check, transport, result }) => ({ check, transport, result })),
  }
}

function explained (code: ErrorCode, reason: string): { code: string, reason: string, cure: string } {
  return { code, reason, cure: errorEntry(code).cure }
}

/** Trying to write costs a write to the disk, and anybody may ask. */
function remembered (work: () => boolean): () => boolean {
  let last: { value: boolean, atMs: number } | null = null
  return () => {
    if (last === null || performance.now() - last.atMs > REMEMBER_MS) last = { value: work(), atMs: performance.now() }
    return last.value
  }
}
