/** What each frame of a client does: one function for each type, all of them in one table. */
import { TurnpikeError } from '../protocol/errors.ts'
import { DEEPEST_METADATA, EVERYONE, isNestedDeeper, type ClientFrame, type Metadata } from '../protocol/frames.ts'
import type { Envelope } from './envelope.ts'
import type { Session } from './session.ts'

export type HandlerNeeds = {
  metadataBytes: number
  /** So many signals were delivered for this project. */
  countSignals (project: string, count: number): void
}
type Handler = (session: Session, envelope: Envelope, needs: HandlerNeeds) => void

const HANDLERS: Record<ClientFrame['type'], Handler> = {
  signal: (session, { fields, data }, { countSignals }) => {
    const { to } = fields
    if (typeof to !== 'string') throw invalid('to', 'must be a peer id or "*"')
    if (data === undefined) throw invalid('data', 'is missing')
    if (!session.permissions.signal) throw new TurnpikeError('not-permitted', 'the token does not permit signals')
    const from = JSON.stringify(session.info.id)
    let delivered = 0
    for (const receiver of receiversOf(session, to)) {
      receiver.sendSignal(from, data)
      delivered++
    }
    countSignals(session.project, delivered)
  },
  update: (session, { fields }, { metadataBytes }) => {
    const { metadata } = fields
    if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) throw invalid('metadata', 'must be an object')
    if (!session.permissions.update) throw new TurnpikeError('not-permitted', 'the token does not permit updates')
    if (isNestedDeeper(metadata, DEEPEST_METADATA)) throw invalid('metadata', `must not be nested deeper than ${DEEPEST_METADATA}`)
    if (Buffer.byteLength(JSON.stringify(metadata)) > metadataBytes) throw new TurnpikeError('metadata-too-large', `metadata may have ${metadataBytes} bytes as JSON`)
    session.updateMetadata(metadata as Metadata)
    for (const other of session.room?.others(session) ?? []) other.sendPeer('peer-updated', session.seenBy(other))
  },
  leave: session => session.end(1000, 'left'),
  ack: (_session, { fields }) => {
    if (!isCount(fields['seq'])) throw invalid('seq', 'must be an integer from 0')
  },
}

/** Carries a frame out and says `accepted` where it has a `cid`. Throws a TurnpikeError where it does not. */
export function handleFrame (session: Session, envelope: Envelope, needs: HandlerNeeds): void {
  const { type, cid, ack } = envelope.fields
  if (typeof type !== 'string' || !Object.hasOwn(HANDLERS, type)) throw new TurnpikeError('frame-unknown', `type is ${typeof type === 'string' ? JSON.stringify(type.slice(0, 60)) : `no string but ${Array.isArray(type) ? 'an array' : typeof type}`}`)
  if (cid !== undefined && !isCount(cid)) throw invalid('cid', 'must be an integer from 0')
  if (ack !== undefined && !isCount(ack)) throw invalid('ack', 'must be an integer from 0')
  HANDLERS[type as ClientFrame['type']](session, envelope, needs)
  if (cid !== undefined) session.send({ type: 'accepted', ref: cid })
}

/** The `cid` that an error frame refers to. */
export function refOf ({ fields }: Envelope): number | null {
  return isCount(fields['cid']) ? fields['cid'] : null
}

function receiversOf (session: Session, to: string): Iterable<Session> {
  if (to === EVERYONE) return session.room?.others(session) ?? []
  const receiver = session.room?.find(to)
  if (receiver === undefined || receiver === session) throw new TurnpikeError('peer-unavailable', receiver === session ? 'that is yourself' : `${JSON.stringify(to).slice(0, 140)} is not in the room`)
  return [receiver]
}

function isCount (value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function invalid (field: string, message: string): TurnpikeError {
  return new TurnpikeError('frame-invalid', `${field} ${message}`, { fields: [{ field, message }] })
}
