/** GET /v1/doctor: everything that calls depend on, looked at now. Admin keys only: it tells of the machine. */
import Type from 'typebox'
import { CHECKS, RESULTS, worstOf, type CheckName, type Finding } from '../../protocol/findings.ts'
import type { App } from '../app-type.ts'
import { problems, UnixSeconds } from '../schemas.ts'

export type DoctorNeeds = { examine: () => Promise<Finding[]>, nowSeconds: () => number }

const Answer = Type.Object({
  findings: Type.Array(Type.Object({
    check: Type.Enum(Object.keys(CHECKS) as CheckName[]),
    subject: Type.String({ description: 'What was looked at.' }),
    result: Type.Enum([...RESULTS], { description: 'unknown: it could not be looked at.' }),
    what: Type.String({ description: 'What was found.' }),
    why: Type.String({ description: 'Why it matters.' }),
    cure: Type.Union([Type.String(), Type.Null()], { description: 'What to do; null where nothing is to be done.' }),
  }), { description: 'The gravest first.' }),
  worst: Type.Enum([...RESULTS]),
  at: UnixSeconds,
})

const schema = {
  summary: 'Examine the relay, its names, certificate and machine',
  description: 'Takes up to three seconds. From another machine, `turnpike doctor --url` adds whether the relay is reached from there.',
  tags: ['Health'],
  security: [{ key: [] }],
  response: { 200: Answer, ...problems() },
}

export function serveDoctor (app: App, { examine, nowSeconds }: DoctorNeeds): void {
  let running: Promise<Finding[]> | null = null
  app.get('/v1/doctor', { config: { access: 'admin' }, schema }, async (_request, reply) => {
    // Who asks while it runs gets the same: it costs allocations and questions to others.
    running ??= examine().finally(() => { running = null })
    const findings = await running
    return await reply.header('cache-control', 'no-store').send({ findings, worst: worstOf(findings), at: nowSeconds() })
  })
}
