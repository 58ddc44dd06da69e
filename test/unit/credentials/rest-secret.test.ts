import { expect, test } from 'vitest'
import { createMint, isMinted } from '../../../src/credentials/rest-secret.ts'
import { iceServersOf, stunUrls, turnUrls } from '../../../src/credentials/ice-servers.ts'

test('the password is the one that openssl computes', () => {
  // printf 1795291167:shop.alice | openssl dgst -sha1 -hmac s3cr3t -binary | base64
  expect(createMint('s3cr3t')(1795291167, 'shop.alice')).toEqual({ username: '1795291167:shop.alice', password: 'AW+a9ndfUnGqHzHNu6SelmVLW9Y=' })
})

test('a login holds until its expiry, under its secret, unchanged', () => {
  const login = createMint('s3cr3t')(1000, 'a.b')
  expect(isMinted('s3cr3t', login, 1000)).toBe(true)
  expect(isMinted('s3cr3t', login, 1001)).toBe(false)
  expect(isMinted('other', login, 900)).toBe(false)
  expect(isMinted('s3cr3t', { ...login, username: '2000:a.b' }, 900)).toBe(false)
  expect(isMinted('s3cr3t', { ...login, password: 'x' }, 900)).toBe(false)
})

test('STUN first, TURN by udp, tcp, tls, every URL with its port', () => {
  const relays = [{ host: 'turn.example', port: 3478, tlsHost: 'turn.example', tlsPorts: [443, 5349], secret: null }]
  expect(stunUrls(relays)).toEqual(['stun:turn.example:3478'])
  expect(turnUrls(relays)).toEqual(['turn:turn.example:3478?transport=udp', 'turn:turn.example:3478?transport=tcp', 'turns:turn.example:443?transport=tcp', 'turns:turn.example:5349?transport=tcp'])
  expect(turnUrls(relays, ['tls', 'udp'])).toEqual(['turn:turn.example:3478?transport=udp', 'turns:turn.example:443?transport=tcp', 'turns:turn.example:5349?transport=tcp'])
  expect(turnUrls([{ host: 'turn.example', port: 3478, tlsHost: 'turn.example', tlsPorts: [], secret: null }], ['tls'])).toEqual([])
})

test('one entry for STUN without a login, one for TURN with it', () => {
  const login = { username: 'u', password: 'p' }
  expect(iceServersOf(['stun:a:1'], [{ urls: ['turn:a:1?transport=udp'], login }])).toEqual([{ urls: ['stun:a:1'] }, { urls: ['turn:a:1?transport=udp'], username: 'u', credential: 'p' }])
  expect(iceServersOf([], [{ urls: ['turn:a:1?transport=udp'], login }])).toHaveLength(1)
})
