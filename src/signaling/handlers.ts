/** What each frame of a native client does: one function for each type, all of them in one table. */
import { TurnpikeError } from '../protocol/errors.ts'
import type { ClientFrame, Metadata } from '../protocol/frames.ts'
import type { Requests } from './dialect.ts'
import type { Envelope } from './envelope.ts'
import type { Session } from './session.ts'

type Handler = (session: Session, envelope: Envelope, requests: Requests<Session>) => void

const HANDLERS: Record<ClientFrame['type'], Handler> = {
  signal: (session, { fields, data }, requests) => {
    const { to, cid } = fields
    if (typeof to !== 'string') throw invalid('to', 'must be a peer id or "*"')
    if (data === undefined) throw invalid('data', 'is missing')
    requests.signal(session, to, { spoken: 'native', body: data }, cid === undefined ? null : cid as number)
  },
  update: (session, { fields }, requests) => {
    const { metadata } = fields
    if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) throw invalid('metadata', 'must be an object')
    requests.update(session, metadata as Metadata)
  },
  leave: (session, _envelope, requests) => requests.leave(session),
  // Who reads much acknowledges much: that is not held against its rate.
  ack: (session, { fields }) => { if (acknowledge(session, fields['seq'], 'seq')) session.bucket.giveBack() },
}

/** Carries a frame out and says `accepted` where it has a `cid`. Throws a TurnpikeError where it does not. `isLimited`: it came too fast. */
export function handleFrame (session: Session, envelope: Envelope, requests: Requests<Session>, isLimited: boolean): void {
  const { type, cid, ack } = envelope.fields
  if (typeof type !== 'string' || !Object.hasOwn(HANDLERS, type)) throw new TurnpikeError('frame-unknown', `type is ${typeof type === 'string' ? JSON.stringify(type.slice(0, 60)) : `no string but ${Array.isArray(type) ? 'an array' : typeof type}`}`)
  if (cid !== undefined && !isCount(cid)) throw invalid('cid', 'must be an integer from 0')
  if (ack !== undefined) acknowledge(session, ack, 'ack')
  if (cid !== undefined && session.receipts.isRepeated(cid)) return session.tell({ type: 'accepted', ref: cid })
  if (isLimited && type !== 'ack') throw rateLimited(session)
  HANDLERS[type as ClientFrame['type']](session, envelope, requests)
  if (cid !== undefined) session.tell({ type: 'accepted', ref: cid })
}

export function rateLimited ({ limits: { signalsPerSecond, signalsBurst } }: Session): TurnpikeError {
  return new TurnpikeError('rate-limited', `${signalsPerSecond} frames a second, ${signalsBurst} at once; this one was not delivered`)
}

/** The `cid` that an error frame refers to. */
export function refOf ({ fields }: Envelope): number | null {
  return isCount(fields['cid']) ? fields['cid'] : null
}

/** Whether that was news. */
function acknowledge (session: Session, seq: unknown, field: string): boolean {
  if (!isCount(seq)) throw invalid(field, 'must be an integer from 0')
  const isNews = session.acknowledge(seq)
  if (isNews === null) throw invalid(field, 'is beyond the last frame that was sent')
  return isNews
}

function isCount (value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function invalid (field: string, message: string): TurnpikeError {
  return new TurnpikeError('frame-invalid', `${field} ${message}`, { fields: [{ field, message }] })
}
