import { expect, test } from 'vitest'
import { ownerOf } from '../../../src/relay/owner.ts'

test.each([
  ['1795291167:shop.alice.0123456789ab', { project: 'shop', user: 'alice', room: '', keyId: '0123456789ab', expiresAtSeconds: 1795291167 }],
  ['1795291167:shop.alice.0', { project: 'shop', user: 'alice', room: '', keyId: null, expiresAtSeconds: 1795291167 }],
  ['1795291167:shop.alice.fixed', { project: 'shop', user: 'alice', room: '', keyId: 'fixed', expiresAtSeconds: 1795291167 }],
  ['1795291167:shop.alice.0.lobby', { project: 'shop', user: 'alice', room: 'lobby', keyId: null, expiresAtSeconds: 1795291167 }],
  [`1795291167:shop.alice.0.~${Buffer.from('küche 7').toString('base64url')}`, { project: 'shop', user: 'alice', room: 'küche 7', keyId: null, expiresAtSeconds: 1795291167 }],
  // What programs make up that sign for themselves.
  ['1795291167:john.doe', { project: 'other', user: '', room: '', keyId: null, expiresAtSeconds: 1795291167 }],
  ['1795291167:john.doe.jr', { project: 'other', user: '', room: '', keyId: null, expiresAtSeconds: 1795291167 }],
  ['1795291167:@alice:matrix.example', { project: 'other', user: 'matrix-example', room: '', keyId: null, expiresAtSeconds: 1795291167 }],
  ['1795291167', { project: 'other', user: '', room: '', keyId: null, expiresAtSeconds: 1795291167 }],
  ['1795291167:a%s.b\n.0', { project: 'other', user: '', room: '', keyId: null, expiresAtSeconds: 1795291167 }],
  ['alice', { project: 'other', user: '', room: '', keyId: null, expiresAtSeconds: null }],
  ['', { project: 'other', user: '', room: '', keyId: null, expiresAtSeconds: null }],
] as const)('%j', (username, owner) => {
  expect(ownerOf(username)).toEqual(owner)
})
