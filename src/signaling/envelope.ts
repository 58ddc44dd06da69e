/** Reads a client's frame, and finds the bytes of its `data` so that they go on as they came (RFC 8259). */
import { TurnpikeError } from '../protocol/errors.ts'

export type Envelope = {
  /** The frame as JSON.parse reads it; `data` may be left out. */
  fields: Readonly<Record<string, unknown>>
  /** The text of the value of `data`, or of what carries it in another protocol, as it was sent; undefined where there is none. */
  data: string | undefined
}

const QUOTE = 0x22
const BACKSLASH = 0x5C
const OPEN = new Set([0x7B, 0x5B])
const CLOSE = new Set([0x7D, 0x5D])
const COMMA = 0x2C
const COLON = 0x3A

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
  return { fields: known, data: Object.hasOwn(known, member) ? findValue(text, member) : undefined }
}

/** The text of the last top-level value with this key, the one that JSON.parse takes. The text is known to be valid JSON. */
function findValue (text: string, member: string): string | undefined {
  let found: string | undefined
  let depth = 0
  let key: string | null = null
  let valueStart = -1
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) {
      const end = endOfString(text, at)
      if (depth === 1 && valueStart === -1) key = readKey(text.slice(at + 1, end))
      at = end
    } else if (code === COLON && depth === 1 && valueStart === -1) {
      valueStart = at + 1
    } else if (OPEN.has(code)) {
      depth++
    } else if ((code === COMMA && depth === 1) || (CLOSE.has(code) && --depth === 0)) {
      if (key === member && valueStart !== -1) found = text.slice(valueStart, at).trim()
      valueStart = -1
    }
  }
  return found
}

/** A key may be written with escapes ("d\u0061ta"). */
function readKey (written: string): string {
  return written.includes('\\') ? JSON.parse(`"${written}"`) as string : written
}

/** Where the string that begins here ends: the next quote with an even number of backslashes before it. */
function endOfString (text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); ; end = text.indexOf('"', end + 1)) {
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return end
  }
}
