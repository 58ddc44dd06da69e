/** Signals for peers that are not there yet: they wait for a while, and so many of them. */
import type { Mail, Session } from './session.ts'

export type MailboxLimits = { mailboxSeconds: number, mailboxMessages: number, mailboxBytes: number }

export class Mailbox {
  readonly #limits: MailboxLimits
  /** Null while nobody is waited for, as in most rooms. */
  #waiting: Map<string, Mail[]> | null = null
  /** Characters that wait, for everybody. */
  size = 0

  constructor (limits: MailboxLimits) {
    this.#limits = limits
  }

  /** Whether there was room for it. */
  put (mail: Mail): boolean {
    const waiting = this.#waiting?.get(mail.to) ?? []
    const size = waiting.reduce((sum, { signal }) => sum + signal.body.length, mail.signal.body.length)
    const { mailboxSeconds, mailboxMessages, mailboxBytes } = this.#limits
    if (mailboxSeconds === 0 || waiting.length >= mailboxMessages || size > mailboxBytes) return false
    // What a client of another protocol sends to somebody is given up together: it cannot tell which of it has arrived.
    const first = mail.from.dialect === null ? undefined : waiting.find(({ from }) => from === mail.from)
    waiting.push(first === undefined ? mail : { ...mail, untilMs: first.untilMs })
    this.#waiting ??= new Map()
    this.#waiting.set(mail.to, waiting)
    this.size += mail.signal.body.length
    return true
  }

  /** What waits for somebody who has come, in its order. */
  take (peer: string): Mail[] {
    const waiting = this.#waiting?.get(peer) ?? []
    this.#waiting?.delete(peer)
    this.#forget(waiting)
    return waiting
  }

  /** What has waited long enough, or was sent by somebody who is gone. */
  takeExpired (nowMs: number): Mail[] {
    return this.#takeWhere(({ untilMs }) => untilMs <= nowMs)
  }

  takeFrom (sender: Session): Mail[] {
    return (this.#waiting?.size ?? 0) === 0 ? [] : this.#takeWhere(({ from }) => from === sender)
  }

  * [Symbol.iterator] (): Generator<Mail> {
    for (const waiting of this.#waiting?.values() ?? []) yield * waiting
  }

  #takeWhere (isTaken: (mail: Mail) => boolean): Mail[] {
    const taken: Mail[] = []
    for (const [peer, waiting] of this.#waiting ?? []) {
      const staying = waiting.filter(mail => !isTaken(mail))
      if (staying.length === waiting.length) continue
      taken.push(...waiting.filter(isTaken))
      if (staying.length === 0) this.#waiting?.delete(peer)
      else this.#waiting?.set(peer, staying)
    }
    this.#forget(taken)
    return taken
  }

  #forget (mail: readonly Mail[]): void {
    for (const { signal } of mail) this.size -= signal.body.length
  }
}
