import Fastify from 'fastify'
import { expect, onTestFinished, test } from 'vitest'
import type { App } from '../../../src/http/app-type.ts'
import { repeatAnswers } from '../../../src/http/idempotency.ts'
import { answerWithProblems } from '../../../src/http/problems.ts'

/** One route that answers when it is let. */
function slowApp (): { app: App, calls: () => number, let: () => void } {
  const app = Fastify() as unknown as App
  onTestFinished(async () => { await app.close() })
  let calls = 0
  const waiting: (() => void)[] = []
  answerWithProblems(app, 1000)
  app.decorateRequest('caller', null)
  repeatAnswers(app)
  app.post('/slow', { config: { idempotent: true } }, async (_request, reply) => {
    calls++
    await new Promise<void>(resolve => waiting.push(resolve))
    return await reply.code(201).send({ calls })
  })
  return { app, calls: () => calls, let: () => waiting.splice(0).forEach(resolve => resolve()) }
}

const post = (app: App, key: string) => app.inject({ method: 'POST', url: '/slow', headers: { 'idempotency-key': key }, payload: {} })

test('while the first is being answered, the second is told to come again; afterwards it gets the first one\'s answer', async () => {
  const slow = slowApp()
  const first = post(slow.app, 'a')
  await new Promise(resolve => setTimeout(resolve, 50))
  const busy = await post(slow.app, 'a')
  expect([busy.statusCode, busy.json<{ code: string }>().code, busy.headers['retry-after']]).toEqual([409, 'idempotency-key-busy', '1'])
  slow.let()
  expect((await first).json()).toEqual({ calls: 1 })
  const again = await post(slow.app, 'a')
  expect([again.statusCode, again.body, again.headers['idempotency-replayed']]).toEqual([201, '{"calls":1}', 'true'])
  expect(slow.calls()).toBe(1)
})

test('what is kept is bounded: the oldest goes first', async () => {
  const slow = slowApp()
  const letting = setInterval(slow.let, 1)
  onTestFinished(() => clearInterval(letting))
  await post(slow.app, 'first')
  for (let batch = 0; batch < 100; batch++) await Promise.all(Array.from({ length: 101 }, (_, i) => post(slow.app, `${batch}-${i}`)))
  await post(slow.app, '99-100')
  expect(slow.calls()).toBe(10_101)
  await post(slow.app, 'first')
  expect(slow.calls()).toBe(10_102)
})
