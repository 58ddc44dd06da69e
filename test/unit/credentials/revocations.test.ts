import { expect, test } from 'vitest'
import { Revocations } from '../../../src/credentials/revocations.ts'
import { TurnpikeError } from '../../../src/protocol/errors.ts'
import { scratchStore } from '../../kit/store.ts'

const plainly = (work: () => void): void => work()
const alice = { project: 'shop', user: 'alice', keyId: '0123456789ab', username: '1:shop.alice.0123456789ab' }

test('one that has ended does not hide another that has not', () => {
  const clock = { now: 1000 }
  const revocations = new Revocations(scratchStore(), () => clock.now)
  revocations.add('user', 'shop', 'alice', 1010, plainly)
  revocations.add('key', 'shop', '0123456789ab', 5000, plainly)
  clock.now = 1010
  expect(revocations.of(alice)).toMatchObject({ kind: 'key' })
  expect(revocations.of({ ...alice, keyId: null })).toBeNull()
})

test('a second one never shortens the first', () => {
  const store = scratchStore()
  const revocations = new Revocations(store, () => 1000)
  revocations.add('user', 'shop', 'alice', 5000, plainly)
  expect(revocations.add('user', 'shop', 'alice', 2000, plainly).until).toBe(5000)
  expect(new Revocations(store, () => 1000).of(alice)?.until).toBe(5000)
})

test('where it cannot be written down it holds all the same; where it cannot be lifted it stays', () => {
  const revocations = new Revocations(scratchStore(), () => 1000)
  const full = (): void => { throw new TurnpikeError('store-unwritable', 'full') }
  expect(() => revocations.add('user', 'shop', 'alice', 5000, full)).toThrow(expect.objectContaining({ code: 'store-unwritable' }))
  expect(revocations.of(alice)).toMatchObject({ kind: 'user' })
  expect(() => revocations.lift('user', 'shop', 'alice', full)).toThrow('full')
  expect(revocations.of(alice)).toMatchObject({ kind: 'user' })
})

test('a project has room for 10,000, and that of another is its own', () => {
  const revocations = new Revocations(scratchStore(), () => 1000)
  for (let i = 0; i < 10_000; i++) revocations.add('user', 'shop', `u${i}`, 5000, () => {})
  expect(() => revocations.add('user', 'shop', 'one-more', 5000, plainly)).toThrow(expect.objectContaining({ code: 'quota-exceeded', fields: [{ field: 'revocations', message: expect.stringContaining('10000') }] }))
  revocations.add('user', 'shop', 'u1', 6000, plainly)
  revocations.add('user', 'other-shop', 'alice', 5000, plainly)
  // The way out is always open.
  revocations.add('key', 'shop', '0123456789ab', 5000, plainly)
  revocations.add('project', 'shop', 'shop', 5000, plainly)
  expect(revocations.list('shop')).toHaveLength(10_002)
})
