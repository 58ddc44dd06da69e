/** coturn's REST-secret scheme (draft-uberti-behave-turn-rest-00 §2.2): a user name that says when it ends, and its HMAC as the password. */
import { createHmac, createSecretKey, timingSafeEqual, type KeyObject } from 'node:crypto'

export type MintedLogin = { username: string, password: string }
export type Mint = (expiresAtSeconds: number, id: string) => MintedLogin

/** Mints logins under one secret. The key object is made once: that is half of the cost of an HMAC of a short text. */
export function createMint (secret: string): Mint {
  const key = createSecretKey(Buffer.from(secret, 'utf8'))
  return (expiresAtSeconds, id) => {
    const username = `${expiresAtSeconds}:${id}`
    return { username, password: passwordOf(key, username) }
  }
}

/** Was this login minted under the secret, and does it still hold? What coturn decides, decided here. */
export function isMinted (secret: string, { username, password }: MintedLogin, nowSeconds: number): boolean {
  const [expiry = ''] = username.split(':')
  const expected = Buffer.from(passwordOf(createSecretKey(Buffer.from(secret, 'utf8')), username))
  const given = Buffer.from(password)
  return /^\d+$/.test(expiry) && Number(expiry) >= nowSeconds && given.length === expected.length && timingSafeEqual(given, expected)
}

/** What coturn takes in a user name, and what stays short of its 512 bytes. */
const PLAIN_ROOM = /^[A-Za-z0-9_-]{1,64}$/
const LONGEST_ENCODED = 200

/** The end of a user name that tells its room, read by relay/owner.ts: as it is, or in base64url after a ~; nothing where even that is too long. */
export function roomPart (room: string): string {
  if (PLAIN_ROOM.test(room)) return `.${room}`
  const encoded = Buffer.from(room, 'utf8').toString('base64url')
  return encoded.length <= LONGEST_ENCODED ? `.~${encoded}` : ''
}

/** SHA-1, because coturn refuses every other length of MESSAGE-INTEGRITY under this scheme. */
function passwordOf (key: KeyObject, username: string): string {
  return createHmac('sha1', key).update(username).digest('base64')
}
