/** Carries what peers say: to one, to all others, or into the mailbox of one who is not there yet; between protocols where they have the same words. */
import { isTurnpikeError, TurnpikeError } from '../protocol/errors.ts'
import { DEEPEST_METADATA, EVERYONE, isNestedDeeper, type Metadata } from '../protocol/frames.ts'
import type { Requests, Signal } from './dialect.ts'
import { DIALECT_TABLE } from './dialects/dialects.ts'
import { signalTail } from './native.ts'
import type { Receipt } from './outbox.ts'
import type { Mail, Session } from './session.ts'

export type CarrierNeeds = {
  /** So many signals were delivered for this project. */
  countSignals (project: string, count: number): void
  /** Is there room for so many characters more that wait? */
  hasRoom (size: number): boolean
  /** So many more characters (or less) wait in mailboxes. */
  onWaiting (change: number): void
}

/** A signal on its way, with what was made of it for the protocols of those who have had it. */
type Parcel = { readonly from: Session, readonly signal: Signal, readonly isForOne: boolean, tail: string | null | undefined }

export class Carrier implements Requests<Session> {
  readonly #needs: CarrierNeeds

  constructor (needs: CarrierNeeds) {
    this.#needs = needs
  }

  signal (from: Session, to: string, signal: Signal, ref: number | null): void {
    if (!from.grant.permissions.signal) throw new TurnpikeError('not-permitted', 'the token does not permit signals')
    const parcel: Parcel = { from, signal, isForOne: to !== EVERYONE, tail: undefined }
    const receipt = ref === null ? null : { sender: from, cid: ref }
    if (to === EVERYONE) return this.#toAll(parcel, receipt)
    const receiver = from.room?.find(to)
    if (receiver === undefined) return this.#leave(parcel, to, ref)
    if (receiver === from) throw new TurnpikeError('peer-unavailable', 'that is yourself')
    if (from.room?.sees(from, receiver) !== true) throw new TurnpikeError('not-permitted', 'in a topic, publishers and subscribers signal each other alone')
    this.#deliver(receiver, parcel, receipt)
    this.#needs.countSignals(from.project, 1)
  }

  /** The same for those who learn of a refusal by whom it was for. */
  signalOrTell (from: Session, to: string, signal: Signal, ref: number | null): void {
    try {
      this.signal(from, to, signal, ref)
    } catch (error) {
      if (!isTurnpikeError(error)) throw error
      from.tell({ type: 'error', ref, code: error.code, message: error.message, to })
    }
  }

  update (from: Session, metadata: Metadata): void {
    if (!from.grant.permissions.update) throw new TurnpikeError('not-permitted', 'the token does not permit updates')
    if (isNestedDeeper(metadata, DEEPEST_METADATA)) throw new TurnpikeError('frame-invalid', `metadata must not be nested deeper than ${DEEPEST_METADATA}`, { fields: [{ field: 'metadata', message: `must not be nested deeper than ${DEEPEST_METADATA}` }] })
    const { metadataBytes } = from.limits
    if (Buffer.byteLength(JSON.stringify(metadata)) > metadataBytes) throw new TurnpikeError('metadata-too-large', `metadata may have ${metadataBytes} bytes as JSON`)
    from.updateMetadata(metadata)
    from.room?.update(from)
  }

  leave (from: Session): void {
    from.end(1000, 'left')
  }

  /** Hands over what waited for somebody who is there now. */
  deliverMail (receiver: Session): void {
    const { room } = receiver
    for (const { from, to, signal, ref } of room?.mailbox.take(receiver.info.id) ?? []) {
      this.#needs.onWaiting(-signal.body.length)
      const receipt = ref === null ? null : { sender: from, cid: ref }
      try {
        if (room?.sees(from, receiver) !== true) throw new TurnpikeError('not-permitted', 'in a topic, publishers and subscribers signal each other alone')
        this.#deliver(receiver, { from, signal, isForOne: true, tail: undefined }, receipt)
        this.#needs.countSignals(from.project, 1)
      } catch (error) {
        const { code, message } = error as TurnpikeError
        from.tell({ type: 'error', ref, code, message, to })
      }
      if (ref !== null) from.settle(ref)
    }
  }

  /** Tells senders that nobody came. */
  returnMail (mail: readonly Mail[]): void {
    if (mail.length === 0) return
    // A client of another protocol that has no numbers is told once of each peer that did not come.
    const told = new Set<string>()
    for (const { from, to, signal, ref } of mail) {
      this.#needs.onWaiting(-signal.body.length)
      const about = from.dialect === null || ref !== null ? null : `${from.id} ${to}`
      if (!from.hasEnded && (about === null || !told.has(about))) from.tell({ type: 'error', ref, code: 'peer-unavailable', message: `${quoted(to)} did not come`, to })
      if (about !== null) told.add(about)
      if (ref !== null) from.settle(ref)
    }
  }

  #toAll (parcel: Parcel, receipt: Receipt | null): void {
    let delivered = 0
    for (const receiver of [...parcel.from.room?.others(parcel.from) ?? []]) {
      try {
        this.#deliver(receiver, parcel, receipt)
        delivered++
      } catch (error) {
        // What is meant for everybody is not refused because one of them has no words for it.
        if (!isTurnpikeError(error) || error.code !== 'dialect-mismatch') throw error
      }
    }
    this.#needs.countSignals(parcel.from.project, delivered)
  }

  #deliver (receiver: Session, parcel: Parcel, receipt: Receipt | null): void {
    const { from } = parcel
    const frame = frameFor(receiver, parcel)
    if (frame === null) throw new TurnpikeError('dialect-mismatch', `${quoted(receiver.info.id)} speaks ${receiver.dialect?.name ?? 'the native protocol'}, which has no words for this`)
    // Nobody hears from a peer before it is told that there is one.
    if (receiver.presenceCursor <= from.enteredAt) receiver.room?.presence.catchUp(receiver)
    if (receipt !== null) from.receipts.expect(receipt.cid)
    if (frame === '') receipt?.sender.settle(receipt.cid)
    else receiver.deliver(frame, receipt, parcel.isForOne)
  }

  #leave (parcel: Parcel, to: string, ref: number | null): void {
    const { from, signal } = parcel
    const mail: Mail = { from, to, signal, ref, untilMs: performance.now() + from.limits.mailboxSeconds * 1000 }
    if (!this.#needs.hasRoom(signal.body.length) || from.room?.mailbox.put(mail) !== true) {
      throw new TurnpikeError('peer-unavailable', `${quoted(to)} is not in the room${from.limits.mailboxSeconds > 0 ? ', and no more can wait for it' : ''}`)
    }
    this.#needs.onWaiting(signal.body.length)
    if (ref !== null) from.receipts.expect(ref)
  }
}

/** What is written to the receiver; null where its protocol has no words for it, '' where it needs none. */
function frameFor (receiver: Session, parcel: Parcel): string | null {
  const { from, signal } = parcel
  const { dialect } = receiver
  if (dialect === null) return (parcel.tail === undefined ? (parcel.tail = tailOf(from.info.id, signal)) : parcel.tail)
  if (dialect.name === signal.spoken) return dialect.relay(from.info.id, signal.body, receiver)
  const data = nativeDataOf(signal)
  if (data === undefined) return null
  return data === null && signal.spoken !== 'native' ? '' : dialect.fromNative(from.info.id, data, receiver)
}

function tailOf (from: string, signal: Signal): string | null {
  if (signal.spoken === 'native') return signalTail(from, signal.body)
  const data = nativeDataOf(signal)
  if (data === undefined) return null
  return data === null ? '' : signalTail(from, JSON.stringify(data))
}

function nativeDataOf (signal: Signal): unknown {
  return signal.spoken === 'native' ? JSON.parse(signal.body) : DIALECT_TABLE[signal.spoken].toNative(signal.body)
}

function quoted (id: string): string {
  return JSON.stringify(id).slice(0, 140)
}
