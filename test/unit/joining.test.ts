import { expect, test } from 'vitest'
import type { Grant } from '../../src/access/access.ts'
import { grantFor, type JoiningNeeds } from '../../src/joining.ts'

const grant: Grant = { project: 'p', room: 'r', peer: '*', role: null, metadata: {}, kind: 'mesh', capacity: 2, takeover: false, permissions: { signal: true, update: true }, keyId: null, tokenId: 't', expiresAtSeconds: 2000 }
const needs = { access: { checkRoomToken: () => grant, projects: { get: () => undefined } }, allowedOrigins: [], anonymousCapacity: 10 } as unknown as JoiningNeeds

test('a peer that is named twice in the query is none: what it is read as is no id that anybody could be found by', () => {
  expect(grantFor({ token: 'a', peer: 'bob' }, { headers: {} }, needs).peer).toBe('bob')
  expect(() => grantFor({ token: 'a', peer: ['bob', 'carol'] as unknown as string }, { headers: {} }, needs)).toThrow(expect.objectContaining({ code: 'invalid-request' }))
})
