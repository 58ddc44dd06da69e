/** What brings a session back over another socket: `<session>.<secret>`, known by its hash alone. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

const BYTES = 18

export class ResumeSecret {
  /** In base64: a short text costs a peer a quarter of what a Buffer does. Empty where there is none. */
  #hash: string
  /** The one before counts until the client shows that it has heard of the new one: the frame that told it may be lost with its socket. */
  #before = ''

  /** As `saved` once said, or nothing. */
  constructor (saved = '') {
    const [hash = '', before = ''] = saved.split(' ')
    this.#hash = hash
    this.#before = before
  }

  /** Both, to be written down. */
  get saved (): string {
    return `${this.#hash} ${this.#before}`
  }

  renew (session: string): string {
    const secret = `${session}.${randomBytes(BYTES).toString('base64url')}`
    this.#before = this.#hash
    this.#hash = hashOf(secret)
    return secret
  }

  /** The client has the newest one. */
  confirm (): void {
    this.#before = ''
  }

  isRight (secret: string): boolean {
    const hash = hashOf(secret)
    return [this.#hash, this.#before].some(known => known.length === hash.length && timingSafeEqual(Buffer.from(known), Buffer.from(hash)))
  }

  /** The client has come with this one, which is right: it knows of no newer one, and goes on with it if the next is lost too. */
  use (secret: string): void {
    this.#hash = hashOf(secret)
    this.#before = ''
  }
}

/** The session that a secret names. */
export function sessionOf (secret: string): string {
  return secret.slice(0, Math.max(0, secret.indexOf('.')))
}

function hashOf (secret: string): string {
  return createHash('sha256').update(secret).digest('base64')
}
