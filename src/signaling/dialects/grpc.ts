/** The gRPC dialect: its frames are the proto3 JSON of turnpike.v1.Message (protocol/signaling.proto); the door of gRPC turns them into bytes. */
import { errorEntry, TurnpikeError } from '../../protocol/errors.ts'
import { isValidId, type PeerView } from '../../protocol/frames.ts'
import type { Dialect, Happening, Speaker } from '../dialect.ts'
import { readCandidate, readDescription, readNative, type NativeData } from './native-data.ts'

/** What goes from peer to peer, and the role that does not say it. */
const SPOKEN: Readonly<Record<string, string | null>> = { OFFER: 'worker', ANSWER: 'client', ACCEPT_ANSWER: 'worker', ICE_CANDIDATE: null, LOCAL_ICE_CANDIDATE: null }
const UNSPOKEN: ReadonlySet<unknown> = new Set(['BLANK', 'PING'])

type Said = { peer: string, event: string, message: string }

export const grpc: Dialect = {
  name: 'grpc',
  takesBinary: true,
  // Bytes are written as base64.
  inflation: 1.4,
  // A body is written below, without the peer: whom it was for is not for the receiver.
  relay: (from, body) => `{"peer":${JSON.stringify(from)},${body.slice(1)}`,
  fromNative: (from, data) => {
    const native = readNative(data)
    if (native === null) return null
    return native.is === 'end' ? '' : frame({ peer: from, ...inWords(native) })
  },
  toNative: body => {
    const { event, message } = JSON.parse(body) as Said
    const text = Buffer.from(message, 'base64').toString('utf8')
    if (event === 'ICE_CANDIDATE') return candidateOf(text)
    if (event === 'OFFER' || event === 'ANSWER') return descriptionOf(event === 'OFFER' ? 'offer' : 'answer', text)
    // ACCEPT_ANSWER: that the other side goes on is all that others need.
    return null
  },
  tell,
  receive: (self, text, requests) => {
    const { peer, event, message } = read(text)
    if (UNSPOKEN.has(event)) return
    const notBy = typeof event === 'string' && Object.hasOwn(SPOKEN, event) ? SPOKEN[event] : undefined
    if (notBy === undefined) throw new TurnpikeError('frame-unknown', `event is ${JSON.stringify(event).slice(0, 60)}`)
    if (!isValidId(peer)) throw invalid('peer', 'must name a peer: 1 to 128 characters without control characters and /, and not *')
    if (notBy !== null && self.info.role === notBy) throw new TurnpikeError('not-permitted', `a ${notBy} does not send ${event}`)
    const told = event === 'LOCAL_ICE_CANDIDATE' ? 'ICE_CANDIDATE' : event
    requests.signal(self, peer, { spoken: 'grpc', body: frame({ event: told, message }) }, null)
  },
}

function tell (happening: Happening, self: Speaker): string[] {
  switch (happening.type) {
    case 'welcome': {
      const { iceServers, iceExpiresAt, peers } = happening
      return [frame({ event: 'WELCOME', peer: self.info.id, role: self.info.role ?? '', iceServers, iceExpiresAt: String(iceExpiresAt ?? 0) }), ...peers.map(joined)]
    }
    case 'peer-joined': return [joined(happening.peer)]
    case 'peer-left': return [frame({ event: 'PEER_LEFT', peer: happening.id })]
    case 'presence': return [...happening.left.map(({ id }) => frame({ event: 'PEER_LEFT', peer: id })), ...happening.joined.map(joined)]
    case 'ice-servers': return [frame({ event: 'ICE_SERVERS', iceServers: happening.iceServers, iceExpiresAt: String(happening.iceExpiresAt) })]
    case 'message': return [frame({ event: 'SERVER_MESSAGE', message: base64(happening.data) })]
    case 'error': {
      const { code, message, to } = happening
      return [frame({ event: 'ERROR', peer: to ?? '', error: { code, message, retry: errorEntry(code).retry } })]
    }
    case 'draining': return [frame({ event: 'DRAINING' })]
    // Of metadata this protocol knows nothing, and its clients number nothing.
    case 'peer-updated':
    case 'accepted':
    case 'delivered': return []
  }
}

function joined ({ id, role }: PeerView): string {
  return frame({ event: 'PEER_JOINED', peer: id, role: role ?? '' })
}

function inWords (native: Exclude<NativeData, { is: 'end' }>): { event: string, message: string } {
  if (native.is === 'candidate') return { event: 'ICE_CANDIDATE', message: base64(JSON.stringify(native.candidate)) }
  const { type, sdp } = native
  return { event: type === 'offer' ? 'OFFER' : 'ANSWER', message: base64(JSON.stringify({ type, sdp })) }
}

/** The SDP as it is, or within the JSON of an RTCSessionDescriptionInit. */
function descriptionOf (type: 'offer' | 'answer', text: string): unknown {
  if (text.startsWith('v=0')) return { description: { type, sdp: text } }
  const description = readDescription(parsed(text))
  return description?.type === type ? { description: { type, sdp: description.sdp } } : undefined
}

/** A candidate as it is, or within the JSON of an RTCIceCandidateInit. */
function candidateOf (text: string): unknown {
  // Without a media section nobody can tell whose it is; the first one is where bundled transports are.
  if (/^(a=)?candidate:/.test(text)) return { candidate: { candidate: text.replace(/^a=/, '').trim(), sdpMid: null, sdpMLineIndex: 0 } }
  const candidate = readCandidate(text === '' ? null : parsed(text))
  if (candidate === null) return undefined
  return { candidate: candidate.is === 'end' ? null : candidate.candidate }
}

function parsed (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The door writes what it could not read as no JSON. */
function read (text: string): { peer: string, event: unknown, message: string } {
  const message = parsed(text)
  if (typeof message !== 'object' || message === null) throw invalid('message', 'is no turnpike.v1.Message')
  return message as Said
}

function frame (message: Record<string, unknown>): string {
  return JSON.stringify(message)
}

function base64 (text: string): string {
  return Buffer.from(text).toString('base64')
}

function invalid (field: string, message: string): TurnpikeError {
  return new TurnpikeError('frame-invalid', `${field} ${message}`, { fields: [{ field, message }] })
}
