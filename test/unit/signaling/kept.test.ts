import { expect, test } from 'vitest'
import { Outbox } from '../../../src/signaling/outbox.ts'
import { Receipts } from '../../../src/signaling/receipts.ts'
import { ResumeSecret, sessionOf } from '../../../src/signaling/resume-secret.ts'

function filled (count: number): { outbox: Outbox, settled: number[] } {
  const outbox = new Outbox()
  const settled: number[] = []
  const sender = { settle: (cid: number) => { settled.push(cid) }, undelivered: () => {} }
  for (let i = 1; i <= count; i++) {
    outbox.seq++
    outbox.keep(`frame ${i}`, { sender, cid: 100 + i })
  }
  return { outbox, settled }
}

test('what is acknowledged goes, the rest stays under its numbers', () => {
  const { outbox, settled } = filled(5)
  outbox.acknowledge(2)
  expect([...outbox.kept()].map(({ seq, text }) => [seq, text])).toEqual([[3, 'frame 3'], [4, 'frame 4'], [5, 'frame 5']])
  expect(settled).toEqual([101, 102])
  expect(outbox.size).toBe('frame 3frame 4frame 5'.length)
  outbox.acknowledge(1)
  expect(outbox.length).toBe(3)
  outbox.acknowledge(5)
  expect([outbox.length, outbox.size]).toEqual([0, 0])
  outbox.seq++
  outbox.keep('frame 6', null)
  expect([...outbox.kept()]).toEqual([{ seq: 6, text: 'frame 6', receipt: null }])
})

test('thousands of frames, acknowledged in portions of any size, keep their numbers', () => {
  const { outbox, settled } = filled(5000)
  for (let seq = 7; seq < 5000; seq += 7) {
    outbox.acknowledge(seq)
    expect(outbox.kept().next().value).toMatchObject({ seq: seq + 1, text: `frame ${seq + 1}` })
  }
  expect(settled).toHaveLength(4998)
  outbox.clear()
  expect([outbox.length, outbox.size, outbox.seq]).toEqual([0, 0, 5000])
})

test('numbers must grow; what was taken before the socket was lost is a repeat', () => {
  const receipts = new Receipts()
  expect([receipts.accepted, receipts.isRepeated(0), receipts.isRepeated(4), receipts.accepted]).toEqual([null, false, false, 4])
  expect(() => receipts.isRepeated(4)).toThrow(expect.objectContaining({ code: 'frame-invalid' }))
  receipts.allowRepeats()
  expect([receipts.isRepeated(3), receipts.isRepeated(4), receipts.isRepeated(5)]).toEqual([true, true, false])
  expect(() => receipts.isRepeated(5)).toThrow(expect.objectContaining({ code: 'frame-invalid' }))
})

test('delivered goes as far as nothing is open, and is told when it moves', () => {
  const receipts = new Receipts()
  receipts.follow()
  expect(receipts.takeNews()).toBeNull()
  for (const cid of [1, 2, 3]) receipts.isRepeated(cid)
  receipts.expect(1)
  receipts.expect(1)
  receipts.expect(3)
  receipts.settle(3)
  receipts.settle(1)
  expect(receipts.takeNews()).toBe(0)
  receipts.settle(1)
  expect([receipts.takeNews(), receipts.takeNews()]).toEqual([3, null])
})

test('what a welcome has told of delivery is no news', () => {
  const receipts = new Receipts()
  receipts.follow()
  receipts.isRepeated(1)
  expect([receipts.tellDelivered(), receipts.takeNews()]).toEqual([1, null])
})

test('for a client that does not acknowledge nothing is followed', () => {
  const receipts = new Receipts()
  receipts.isRepeated(1)
  receipts.expect(1)
  expect([receipts.tellDelivered(), receipts.takeNews()]).toEqual([null, null])
})

test('the secret of a session: the newest, and the one before until the newest is known', () => {
  const secret = new ResumeSecret()
  const [first, second] = [secret.renew('s_1'), secret.renew('s_1')]
  expect(sessionOf(first)).toBe('s_1')
  expect(sessionOf('nonsense')).toBe('')
  expect([secret.isRight(first), secret.isRight(second), secret.isRight('s_1.x')]).toEqual([true, true, false])
  secret.confirm()
  expect([secret.isRight(first), secret.isRight(second)]).toEqual([false, true])
  expect(new ResumeSecret(secret.saved).isRight(second)).toBe(true)
})

test('a client whose welcomes are lost again and again comes with the same secret each time, and over a restart', () => {
  const secret = new ResumeSecret()
  const first = secret.renew('s_1')
  for (let lost = 0; lost < 3; lost++) {
    expect(secret.isRight(first)).toBe(true)
    secret.use(first)
    secret.renew('s_1')
  }
  expect(new ResumeSecret(secret.saved).isRight(first)).toBe(true)
})

test('what is taken up receiver by receiver is delivered no further than its oldest', () => {
  const receipts = new Receipts(5)
  receipts.follow()
  receipts.expect(5)
  receipts.expect(3)
  receipts.sort()
  expect(receipts.takeNews()).toBe(2)
})
