/**
 * libdatachannel's example signaling servers, and FogROS2-SGC's, whose clients are written to them: {"id": …} with the id of the
 * receiver on the way here and that of the sender on the way out, and all else as it came. Nothing but that is ever sent:
 * FogROS2-SGC's client ends its process over any other frame (core/src/network/webrtc.rs).
 */
import { TurnpikeError } from '../../protocol/errors.ts'
import { isValidId } from '../../protocol/frames.ts'
import type { Dialect, Speaker } from '../dialect.ts'
import { replaceMember } from '../json-text.ts'

/**
 * plain: {type, description}, {type: candidate, candidate, mid} (examples/client).
 * streamer: {type, sdp} (examples/streamer).
 * payload: {payload: {sdp, type}}, {payload: {candidate, sdpMid}} (async-datachannel, FogROS2-SGC).
 */
type Form = 'plain' | 'streamer' | 'payload'
type Fields = Readonly<Record<string, unknown>>
type Description = { type: string, sdp: string }
type Candidate = { candidate: string, sdpMid: string }

const DESCRIPTION_TYPES: readonly unknown[] = ['offer', 'answer', 'pranswer']

export const libdatachannel: Dialect = {
  name: 'libdatachannel',
  takesBinary: true,
  relay: (from, body) => replaceMember(body, 'id', JSON.stringify(from)),
  fromNative: (from, data, self) => {
    const { description, candidate } = isFields(data) ? data : {}
    if (isFields(description) && isDescription(description)) return JSON.stringify({ id: from, ...inForm(self, describe(description), { sdp: description.sdp, type: description.type }) })
    if (isEndOfCandidates(data, candidate)) return ''
    if (!isFields(candidate) || typeof candidate['candidate'] !== 'string') return null
    const said = { candidate: candidate['candidate'], sdpMid: midOf(candidate) }
    return JSON.stringify({ id: from, ...inForm(self, { plain: inPlain(said), streamer: inPlain(said) }, said) })
  },
  toNative: body => {
    const fields = JSON.parse(body) as Fields
    const said = isFields(fields['payload']) ? fields['payload'] : fields
    const description = descriptionIn(said)
    if (description !== null) return { description }
    const candidate = candidateIn(said)
    return candidate === null ? undefined : { candidate }
  },
  tell: () => [],
  receive: (self, text, requests) => {
    const fields = read(text)
    const { id } = fields
    if (typeof id !== 'string' || !isValidId(id)) throw invalid('id', 'must be the id of a peer')
    self.form ??= formOf(fields)
    requests.signal(self, id, { spoken: 'libdatachannel', body: text }, null)
  },
}

/** A client is spoken to in the form in which it spoke first. One that has said nothing yet can be of either kind, and each reads its own part of a frame. */
function inForm (self: Speaker, { plain, streamer }: { plain: object, streamer: object }, payload: object): object {
  if (self.form === null) return { ...plain, payload }
  if (self.form === 'payload') return { payload }
  return self.form === 'streamer' ? streamer : plain
}

function describe ({ type, sdp }: Description): { plain: object, streamer: object } {
  return { plain: { type, description: sdp }, streamer: { type, sdp } }
}

function inPlain ({ candidate, sdpMid }: Candidate): object {
  return { type: 'candidate', candidate, mid: sdpMid }
}

/** Null where a frame does not tell. */
function formOf ({ payload, type, description, sdp, candidate }: Fields): Form | null {
  if (isFields(payload)) return 'payload'
  if (typeof description === 'string' || typeof candidate === 'string') return 'plain'
  return typeof sdp === 'string' || type === 'request' ? 'streamer' : null
}

function descriptionIn ({ type, description, sdp = description }: Fields): Description | null {
  const found = { type, sdp }
  return isDescription(found) ? found : null
}

function candidateIn ({ candidate, mid, sdpMid = mid }: Fields): Candidate | null {
  if (typeof candidate !== 'string') return null
  // libdatachannel writes the line of the SDP, browsers read the attribute alone (RFC 8839 §5.1).
  return { candidate: candidate.replace(/^a=/, ''), sdpMid: typeof sdpMid === 'string' ? sdpMid : '0' }
}

function isDescription (fields: Fields): fields is Description {
  return DESCRIPTION_TYPES.includes(fields['type']) && typeof fields['sdp'] === 'string'
}

/** Browsers say so with null or an empty text; here nobody asks. */
function isEndOfCandidates (data: unknown, candidate: unknown): boolean {
  return isFields(data) && (candidate === null || (isFields(candidate) && candidate['candidate'] === ''))
}

function midOf ({ sdpMid, sdpMLineIndex }: Fields): string {
  if (typeof sdpMid === 'string') return sdpMid
  return typeof sdpMLineIndex === 'number' ? String(sdpMLineIndex) : '0'
}

function read (text: string): Fields {
  let fields: unknown
  try {
    fields = JSON.parse(text)
  } catch {
    throw new TurnpikeError('frame-not-json', 'the frame cannot be read as JSON')
  }
  if (!isFields(fields)) throw new TurnpikeError('frame-not-json', 'the frame is JSON, but no object')
  return fields
}

function isFields (value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function invalid (field: string, message: string): TurnpikeError {
  return new TurnpikeError('frame-invalid', `${field} ${message}`, { fields: [{ field, message }] })
}
