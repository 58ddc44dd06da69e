/** Reads a client's frame, and finds the bytes of its `data` so that they go on as they came (RFC 8259). */
import { TurnpikeError } from '../protocol/errors.ts'
import { lastMember } from './json-text.ts'

export type Envelope = {
  /** The frame as JSON.parse reads it; `data` may be left out. */
  fields: Readonly<Record<string, unknown>>
  /** The text of the value of `data`, or of what carries it in another protocol, as it was sent; undefined where there is none. */
  data: string | undefined
}

/** A signal as clients write it, up to its data: then nothing but the data has to be parsed, and it need not be looked for. */
const SIGNAL = /^\{"type":"signal",(?:"cid":(0|[1-9]\d{0,14}),)?"to":"([^"\\\p{Cc}]*)","data":/u
const ACK = ',"ack":'
const MOST_DIGITS = 15

/** Throws frame-not-json. The whole frame is parsed, so that no receiver is ever sent broken JSON. */
export function readEnvelope (text: string, member = 'data'): Envelope {
  return (member === 'data' ? readSignal(text) : null) ?? readAny(text, member)
}

/** Null where the frame is not written like most are, or is broken. */
function readSignal (text: string): Envelope | null {
  const begin = SIGNAL.exec(text)
  if (begin === null || !text.endsWith('}')) return null
  const [head, cid, to] = begin
  let end = text.length - 1
  let ack: number | undefined
  let digits = end
  while (end - digits < MOST_DIGITS && isDigit(text.charCodeAt(digits - 1))) digits--
  if (digits < end && text.startsWith(ACK, digits - ACK.length) && (end - digits === 1 || text[digits] !== '0')) {
    ack = Number(text.slice(digits, end))
    end = digits - ACK.length
  }
  const data = text.slice(head.length, end)
  if (!isJson(data)) return null
  return { fields: { type: 'signal', cid: cid === undefined ? undefined : Number(cid), to, ack }, data: data.trim() }
}

/** Is this the text of one value? */
export function isJson (text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function isDigit (code: number): boolean {
  return code >= 0x30 && code <= 0x39
}

function readAny (text: string, member: string): Envelope {
  let fields: unknown
  try {
    fields = JSON.parse(text)
  } catch {
    throw new TurnpikeError('frame-not-json', 'the frame cannot be read as JSON')
  }
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) throw new TurnpikeError('frame-not-json', 'the frame is JSON, but no object')
  const known = fields as Record<string, unknown>
  return { fields: known, data: Object.hasOwn(known, member) ? lastMember(text, member) : undefined }
}
