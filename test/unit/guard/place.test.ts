import { expect, test } from 'vitest'
import { firstDifference, member } from '../../../src/guard/json.ts'
import { holdsData, isCoturnOf, isUsersDirectory, type Place } from '../../../src/guard/place.ts'

const place: Place = { data: '/volumes/d/_data', held: '/volumes/d/_data', composeProject: null, mark: 'a'.repeat(12) }
const users = (source: string): object => ({ Mounts: [{ Source: source, Destination: '/var/lib/turnpike' }] })

test('the directories of user databases are those of relays, and no others', () => {
  for (const inside of ['relay/userdb', 'relay/alternate/userdb', 'relays/fra-1/userdb', 'relays/fra-1/alternate/userdb']) expect(isUsersDirectory(place.data, `${place.data}/${inside}`)).toBe(true)
  for (const inside of ['', '/', 'relay', 'userdb', 'relay/userdb/', 'relay/userdb/x', 'relay/../relay/userdb', 'relays//userdb', 'relays/../userdb', 'relays/A/userdb', 'relay/userdb\n', 'x/relay/userdb']) expect(isUsersDirectory(place.data, `${place.data}/${inside}`)).toBe(false)
  expect(isUsersDirectory(place.data, '/volumes/d/_data2/relay/userdb')).toBe(false)
})

test('a coturn is known by the label of the guard, or, from before there was one, by what is mounted in it', () => {
  expect(isCoturnOf(place, { Labels: { 'io.turnpike.guard': place.mark } })).toBe(true)
  expect(isCoturnOf(place, { Config: { Labels: { 'io.turnpike.guard': place.mark } } })).toBe(true)
  expect(isCoturnOf(place, { Labels: { 'io.turnpike.relay': 'x' }, ...users(`${place.data}/relay/userdb`) })).toBe(true)
  expect(isCoturnOf(place, { Labels: { 'io.turnpike.relay': 'x' }, ...users('/volumes/e/_data/relay/userdb') })).toBe(false)
  expect(isCoturnOf(place, { Labels: { 'io.turnpike.relay': 'x', 'io.turnpike.guard': 'of another' }, ...users(`${place.data}/relay/userdb`) })).toBe(false)
  expect(isCoturnOf(place, { Labels: {}, ...users(`${place.data}/relay/userdb`) })).toBe(false)
  expect(holdsData(place, { Mounts: [{ Source: place.held, Destination: '/data' }] })).toBe(true)
  expect(holdsData(place, { Mounts: [{ Source: '/', Destination: '/data' }] })).toBe(false)
})

test('two values are the same in every member, or the first difference is named', () => {
  expect(firstDifference({ a: [{ b: 1 }] }, { a: [{ b: 1 }] })).toBeNull()
  expect(firstDifference({ a: [{ b: 1 }] }, { a: [{ b: 2 }] })).toBe('a.0.b')
  expect(firstDifference({ a: 1 }, { a: 1, b: undefined })).toBe('b')
  expect(firstDifference({ A: 1 }, { a: 1 })).toBe('A')
  expect(firstDifference([1], { 0: 1 })).toBe('')
  expect(firstDifference(JSON.parse('{"__proto__":1}'), {})).toBe('__proto__')
  expect(member({}, 'toString')).toBeUndefined()
})
