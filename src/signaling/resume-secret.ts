/** What brings a session back over another socket: `<session>.<secret>`, known by its hash alone. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

const BYTES = 18

export class ResumeSecret {
  #hash: Buffer | null
  /** The one before counts until the client shows that it has heard of the new one: the frame that told it may be lost with its socket. */
  #before: Buffer | null = null

  /** As `saved` once said, or nothing. */
  constructor (saved = '') {
    const [hash, before] = saved.split(' ').map(text => (text === '' ? null : Buffer.from(text, 'base64')))
    this.#hash = hash ?? null
    this.#before = before ?? null
  }

  /** Both, to be written down. */
  get saved (): string {
    return [this.#hash, this.#before].map(hash => hash?.toString('base64') ?? '').join(' ')
  }

  renew (session: string): string {
    const secret = `${session}.${randomBytes(BYTES).toString('base64url')}`
    this.#before = this.#hash
    this.#hash = hashOf(secret)
    return secret
  }

  /** The client has the newest one. */
  confirm (): void {
    this.#before = null
  }

  isRight (secret: string): boolean {
    const hash = hashOf(secret)
    return [this.#hash, this.#before].some(known => known !== null && timingSafeEqual(known, hash))
  }

  /** The client has come with this one, which is right: it knows of no newer one, and goes on with it if the next is lost too. */
  use (secret: string): void {
    this.#hash = hashOf(secret)
    this.#before = null
  }
}

/** The session that a secret names. */
export function sessionOf (secret: string): string {
  return secret.slice(0, Math.max(0, secret.indexOf('.')))
}

function hashOf (secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}
