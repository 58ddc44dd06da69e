/** turnpike.v1.Message as it stands in src/protocol/signaling.proto, between the wire and the JSON that the dialect reads. */
import { decodeMessage, encodeMessage, type Field } from './protobuf.ts'

export const METHOD = '/turnpike.v1.Signaling/Negotiate'

export const EVENTS = ['OFFER', 'ANSWER', 'ACCEPT_ANSWER', 'ICE_CANDIDATE', 'LOCAL_ICE_CANDIDATE', 'BLANK', 'PING', 'WELCOME', 'PEER_JOINED', 'PEER_LEFT', 'ICE_SERVERS', 'SERVER_MESSAGE', 'ERROR', 'DRAINING'] as const

/** What a client says. The rest of a message is the server's: in one of a client it is passed over. */
const SAID: readonly Field[] = [
  { name: 'peer', number: 1, kind: 'string' },
  { name: 'event', number: 2, kind: 'enum', values: EVENTS },
  { name: 'message', number: 3, kind: 'bytes' },
]
const ICE_SERVER: readonly Field[] = [
  { name: 'urls', number: 1, kind: 'string', repeated: true },
  { name: 'username', number: 2, kind: 'string' },
  { name: 'credential', number: 3, kind: 'string' },
]
const ERROR: readonly Field[] = [
  { name: 'code', number: 1, kind: 'string' },
  { name: 'message', number: 2, kind: 'string' },
  { name: 'retry', number: 3, kind: 'string' },
]
const TOLD: readonly Field[] = [
  ...SAID,
  { name: 'iceServers', number: 4, kind: 'message', of: ICE_SERVER, repeated: true },
  { name: 'iceExpiresAt', number: 5, kind: 'int64' },
  { name: 'error', number: 6, kind: 'message', of: ERROR },
  { name: 'role', number: 7, kind: 'string' },
]

/** The JSON of a message of a client; text that is no JSON where the bytes are no message, which the dialect then refuses. */
export function textOf (bytes: Uint8Array): { event: unknown, text: string } {
  try {
    // What is not on the wire has its default.
    const message = { peer: '', event: 'OFFER', message: '', ...decodeMessage(bytes, SAID) }
    return { event: message.event, text: JSON.stringify(message) }
  } catch {
    return { event: null, text: '' }
  }
}

/** The bytes of what the dialect wrote. */
export function bytesOf (text: string): Buffer {
  return encodeMessage(JSON.parse(text) as Record<string, unknown>, TOLD)
}
