import jwt from 'jsonwebtoken'
import { expect, test } from 'vitest'
import { readRoomToken, signRoomToken, type Grant } from '../../../src/access/room-tokens.ts'

const KEYS = [{ id: 'new', secret: 'n'.repeat(32) }, { id: 'old', secret: 'o'.repeat(32) }] as const
const NOW = 1_800_000_000
const grant: Grant = { project: 'p', room: 'r', peer: 'a', role: null, metadata: {}, kind: 'mesh', capacity: 2, takeover: false, permissions: { signal: true, update: true }, keyId: '0123456789ab', tokenId: 'id', expiresAtSeconds: NOW + 300 }

test('what was signed is read again, under the newest key and under the one before', () => {
  for (const key of KEYS) expect(readRoomToken(signRoomToken(grant, key, NOW), KEYS, NOW)).toEqual(grant)
  expect(() => readRoomToken(signRoomToken(grant, { id: 'older', secret: 'x'.repeat(32) }, NOW), KEYS, NOW)).toThrow(expect.objectContaining({ code: 'token-invalid' }))
})

test('clocks may differ by 5 s', () => {
  const token = signRoomToken(grant, KEYS[0], NOW)
  expect(readRoomToken(token, KEYS, NOW + 304).peer).toBe('a')
  expect(() => readRoomToken(token, KEYS, NOW + 306)).toThrow(expect.objectContaining({ code: 'token-expired', message: expect.stringContaining('6 s ago') }))
})

test('none lives longer than a day, whatever it says', () => {
  const token = signRoomToken({ ...grant, expiresAtSeconds: NOW + 10 * 86_400 }, KEYS[0], NOW)
  expect(readRoomToken(token, KEYS, NOW + 86_390).peer).toBe('a')
  expect(() => readRoomToken(token, KEYS, NOW + 86_410)).toThrow(expect.objectContaining({ code: 'token-expired' }))
})

test.each([
  ['another audience', { aud: 'somebody' }],
  ['another issuer', { iss: 'somebody' }],
  ['no id', { jti: undefined }],
  ['a room that is none', { room: 'a/b' }],
  ['no permissions', { permissions: null }],
])('with %s it is refused, though it is signed with our key', (_name, change) => {
  const claims = { ...jwt.decode(signRoomToken(grant, KEYS[0], NOW)) as object, ...change }
  const token = jwt.sign(JSON.parse(JSON.stringify(claims)) as object, KEYS[0].secret, { algorithm: 'HS256', keyid: 'new' })
  expect(() => readRoomToken(token, KEYS, NOW)).toThrow(expect.objectContaining({ code: 'token-invalid' }))
})
