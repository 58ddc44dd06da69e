import { expect, test } from 'vitest'
import { Events } from '../../../src/client/events.ts'
import { delayMs, retryAfterClose, secondsLeft } from '../../../src/client/reconnect.ts'
import { ERRORS } from '../../../src/protocol/errors.ts'

test('the ranges of close codes say the same as the table of errors', () => {
  const closing = Object.entries(ERRORS).flatMap(([code, entry]) => 'close' in entry ? [{ code, close: entry.close, retry: entry.retry }] : [])
  expect(closing.length).toBeGreaterThan(10)
  for (const { code, close, retry } of closing) expect([code, retryAfterClose(close)]).toEqual([code, retry])
  expect([1000, 1006].map(retryAfterClose)).toEqual(['never', 'backoff'])
})

test('waits grow to their bound, and half of each is chance', () => {
  const bounds = { minMs: 100, maxMs: 1000 }
  expect([0, 1, 2, 3, 4, 1000].map(failures => delayMs(failures, bounds, () => 1))).toEqual([100, 200, 400, 800, 1000, 1000])
  expect([0, 4].map(failures => delayMs(failures, bounds, () => 0))).toEqual([50, 500])
})

test('a token tells when it expires; what cannot be read does not', () => {
  const token = `h.${Buffer.from(JSON.stringify({ exp: 1060, name: 'ÿ?>' })).toString('base64url')}.s`
  expect(secondsLeft(token, 1_000_000)).toBe(60)
  expect(['', 'x', 'a.b.c', `h.${btoa('{}')}.s`].map(text => secondsLeft(text))).toEqual([Infinity, Infinity, Infinity, Infinity])
})

test('a reader that is too far behind is told so, and a listener that throws stops nobody', async () => {
  const events = new Events<{ tick: number }>()
  const reading = events.iterate()
  const heard: number[] = []
  const uncaught: unknown[] = []
  const before = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', error => uncaught.push(error.message))
  events.on('tick', () => { throw new Error('mine') })
  const stop = events.on('tick', n => heard.push(n))
  events.emit('tick', 0)
  stop()
  await new Promise(resolve => setTimeout(resolve))
  process.removeAllListeners('uncaughtException')
  for (const listener of before) process.on('uncaughtException', listener)
  expect([heard, uncaught]).toEqual([[0], ['mine']])
  expect(await reading.next()).toEqual({ done: false, value: { type: 'tick', detail: 0 } })
  const late = new Events<{ tick: number }>()
  const slow = late.iterate()
  for (let i = 0; i <= 10_001; i++) late.emit('tick', i)
  await expect(slow.next()).rejects.toMatchObject({ code: 'too-many-events' })
})
