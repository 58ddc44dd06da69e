import jwt from 'jsonwebtoken'
import { createSecretKey } from 'node:crypto'
import { expect, test } from 'vitest'
import { createAccess } from '../../../src/access/access.ts'
import { readRoomToken, signRoomToken, type Grant, type SigningKey } from '../../../src/access/room-tokens.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { createMetrics } from '../../../src/metrics/metrics.ts'
import { scratchStore, silentLog } from '../../kit/store.ts'

const keyOf = (id: string, text: string): SigningKey => ({ id, secret: createSecretKey(text, 'utf8') })
const NEW = keyOf('new', 'n'.repeat(32))
const KEYS = [NEW, keyOf('old', 'o'.repeat(32))]
const NOW = 1_800_000_000
const grant: Grant = { project: 'p', room: 'r', peer: 'a', role: null, metadata: {}, kind: 'mesh', capacity: 2, takeover: false, permissions: { signal: true, update: true }, keyId: '0123456789ab', tokenId: 'id', expiresAtSeconds: NOW + 300 }

test('what was signed is read again, under the newest key and under the one before', () => {
  for (const key of KEYS) expect(readRoomToken(signRoomToken(grant, key, NOW), KEYS, NOW)).toEqual(grant)
  expect(() => readRoomToken(signRoomToken(grant, keyOf('older', 'x'.repeat(32)), NOW), KEYS, NOW)).toThrow(expect.objectContaining({ code: 'token-invalid' }))
})

test('clocks may differ by 5 s', () => {
  const token = signRoomToken(grant, NEW, NOW)
  expect(readRoomToken(token, KEYS, NOW + 304).peer).toBe('a')
  expect(() => readRoomToken(token, KEYS, NOW + 306)).toThrow(expect.objectContaining({ code: 'token-expired', message: expect.stringContaining('6 s ago') }))
})

test('none lives longer than a day, whatever it says', () => {
  const token = signRoomToken({ ...grant, expiresAtSeconds: NOW + 10 * 86_400 }, NEW, NOW)
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
  const claims = { ...jwt.decode(signRoomToken(grant, NEW, NOW)) as object, ...change }
  const token = jwt.sign(JSON.parse(JSON.stringify(claims)) as object, NEW.secret, { algorithm: 'HS256', keyid: 'new' })
  expect(() => readRoomToken(token, KEYS, NOW)).toThrow(expect.objectContaining({ code: 'token-invalid' }))
})

test('what is signed with the text of the secret in the database, as earlier versions did, is read', () => {
  const store = scratchStore()
  const access = createAccess({ store, metrics: createMetrics(), config: loadConfig({ env: {}, readFile: () => '' }).config, log: silentLog, nowSeconds: () => NOW })
  const [{ id, secret } = { id: '', secret: '' }] = store.all<{ id: string, secret: string }>('SELECT id, secret FROM signing_keys')
  const { expiresAtSeconds, tokenId, keyId, ...rest } = { ...grant, project: 'default', keyId: null }
  const token = jwt.sign({ ...rest, key: keyId, iat: NOW, exp: expiresAtSeconds, jti: tokenId, iss: 'turnpike', aud: 'turnpike:signal' }, secret, { algorithm: 'HS256', keyid: id })
  expect(access.checkRoomToken(token)).toEqual({ ...grant, project: 'default', keyId: null })
})
