import { expect, test } from 'vitest'
import { isRevokedBy, Revocations } from '../../../src/credentials/revocations.ts'
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

test('of a kicked peer, what was issued until then is revoked and nothing else; what comes after expires later', () => {
  const clock = { now: 1000 }
  const store = scratchStore()
  const revocations = new Revocations(store, () => clock.now)
  const name = 'shop.alice.0123456789ab.lobby'
  const at = (expiry: number, of = name): unknown => revocations.of({ ...alice, username: `${expiry}:${of}` })?.kind
  revocations.add('peer', 'shop', name, 4600 + 60, plainly)
  expect([at(4599), at(4600), at(4601), at(4600, 'shop.alice.0123456789ab.other'), at(4600, 'shop.alice.0123456789ab')]).toEqual(['peer', 'peer', undefined, undefined, undefined])
  expect([revocations.expiryFor('shop', name, 4600), revocations.expiryFor('shop', name, 1060), revocations.expiryFor('shop', name, 9000), revocations.expiryFor('shop', 'shop.bob.0', 1060)]).toEqual([4601, 4601, 9000, 1060])
  expect(new Revocations(store, () => clock.now).list('shop')).toMatchObject([{ kind: 'peer', subject: name, until: 4660 }])
  // Nobody is refused anything that is issued anew.
  expect(revocations.of({ project: 'shop', user: 'alice', keyId: '0123456789ab' })).toBeNull()
  clock.now = 4661
  expect([at(4600), revocations.expiryFor('shop', name, 1060)]).toEqual([undefined, 1060])
})

test('what an allocation is cut for is what a credential is refused for', () => {
  const ends = (kind: 'user' | 'credential' | 'key' | 'project' | 'peer', subject: string): boolean => isRevokedBy({ ...alice, username: '4600:shop.alice.0123456789ab' }, { kind, subject, until: 4660 })
  expect([ends('user', 'alice'), ends('user', 'bob'), ends('key', '0123456789ab'), ends('credential', '4600:shop.alice.0123456789ab'), ends('credential', '4601:shop.alice.0123456789ab'), ends('project', 'shop')]).toEqual([true, false, true, true, false, true])
  expect([ends('peer', 'shop.alice.0123456789ab'), ends('peer', 'shop.alice.0')]).toEqual([true, false])
  expect(isRevokedBy({ ...alice, username: '4601:shop.alice.0123456789ab' }, { kind: 'peer', subject: 'shop.alice.0123456789ab', until: 4660 })).toBe(false)
})
