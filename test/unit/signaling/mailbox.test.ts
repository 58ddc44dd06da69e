/** What waits for absent peers goes when its time is over: each signal by itself, those of a client without numbers together. */
import { expect, test } from 'vitest'
import { Mailbox } from '../../../src/signaling/mailbox.ts'
import type { Mail, Session } from '../../../src/signaling/session.ts'

const native = { dialect: null } as Session
const mailFrom = (from: Session, to: string, untilMs: number): Mail => ({ from, to, signal: { spoken: 'native', body: String(untilMs) }, ref: null, untilMs })
const bodies = (mail: Mail[]): string[] => mail.map(({ signal }) => signal.body)

test('each signal of a native client waits its own time', () => {
  const mailbox = new Mailbox({ mailboxSeconds: 5, mailboxMessages: 10, mailboxBytes: 100 })
  for (const untilMs of [5000, 5500, 9000]) mailbox.put(mailFrom(native, 'bob', untilMs))
  expect(bodies(mailbox.takeExpired(5500))).toEqual(['5000', '5500'])
  expect(bodies(mailbox.take('bob'))).toEqual(['9000'])
})

test('what a client of another protocol sent to one peer goes with the first of it; what others sent, and what it sent to others, stays', () => {
  const mailbox = new Mailbox({ mailboxSeconds: 5, mailboxMessages: 10, mailboxBytes: 100 })
  const [one, other] = [{ dialect: {} } as Session, { dialect: {} } as Session]
  for (const [from, to, untilMs] of [[one, 'bob', 5000], [one, 'bob', 9000], [other, 'bob', 6000], [one, 'carol', 7000], [native, 'bob', 8000]] as const) mailbox.put(mailFrom(from, to, untilMs))
  expect(bodies(mailbox.takeExpired(5000))).toEqual(['5000', '9000'])
  expect(mailbox.size).toBe('600080007000'.length)
  expect(bodies(mailbox.takeExpired(6000))).toEqual(['6000'])
  mailbox.put(mailFrom(one, 'bob', 11_000))
  expect(bodies(mailbox.takeExpired(9000)).toSorted()).toEqual(['7000', '8000'])
  expect(bodies(mailbox.takeExpired(11_000))).toEqual(['11000'])
  expect(mailbox.size).toBe(0)
})
