/**
 * PeerJS, as its client speaks it (npm peerjs 1.5.5). Signals between its clients go on as they came; to peers that speak otherwise it
 * has nothing to say, because its payload names connections that only its own clients have.
 */
import { isValidId } from '../../protocol/frames.ts'
import { PEERJS_OPEN, peerjsExpire, peerjsRefusal } from '../../protocol/peerjs.ts'
import type { Dialect } from '../dialect.ts'
import { isJson, readEnvelope } from '../envelope.ts'

/** HEARTBEAT, the sixth, needs no answer: the server pings by itself. */
const FORWARDED: ReadonlySet<unknown> = new Set(['OFFER', 'ANSWER', 'CANDIDATE', 'LEAVE', 'EXPIRE'])
/** Whether they arrive is nobody's concern. */
const UNTOLD = -1
const REF_OF_TYPE: Readonly<Record<string, number>> = { LEAVE: UNTOLD, EXPIRE: UNTOLD }
/** A frame as its client writes it, up to where its payload begins, and from where that ends: then nothing but the payload has to be parsed. */
const USUAL = /^\{"type":"(OFFER|ANSWER|CANDIDATE)","payload":(?=\{)/
const BEFORE_TYPE = '{"type":'
const BEFORE_DST = '},"dst":"'
const USUAL_END = /^,"dst":"([^"\\\p{Cc}]*)"\}$/u
/** Longer than any id, and none begins with it. */
const NOBODY = '/'

export const peerjs: Dialect = {
  name: 'peerjs',
  takesBinary: true,
  relay: (from, body, self) => {
    const end = body.indexOf('"', 1) + 1
    return `{"type":${body.slice(0, end)},"src":${JSON.stringify(from)},"dst":${JSON.stringify(self.info.id)}${body.slice(end)}}`
  },
  fromNative: () => null,
  toNative: () => undefined,
  tell: (happening, self) => {
    if (happening.type === 'welcome') return [PEERJS_OPEN]
    if (happening.type !== 'error' || happening.ref === UNTOLD) return []
    const { to, code, message } = happening
    if (to === null) return [peerjsRefusal(code, message)]
    return [peerjsExpire(to.startsWith(NOBODY) ? to.slice(NOBODY.length) : to, self.info.id)]
  },
  receive: (self, text, requests) => {
    const { type, dst, body } = readUsual(text) ?? readAny(text)
    if (!FORWARDED.has(type)) return
    if (typeof dst !== 'string' || dst === '') {
      if (type === 'LEAVE' && (dst ?? '') === '') requests.leave(self)
      return
    }
    const to = isValidId(dst) ? dst : NOBODY + dst.slice(0, 128)
    requests.signal(self, to, { spoken: 'peerjs', body }, REF_OF_TYPE[String(type)] ?? null)
  },
}

/** `body`: the type, and the payload with its key where there is one, as they stand in a frame. */
type Frame = { type: unknown, dst: unknown, body: string }

/** Null where the frame is not written like most are, or is broken. What goes on is one piece of the text, so that nothing is copied. */
function readUsual (text: string): Frame | null {
  const begin = USUAL.exec(text)
  if (begin === null) return null
  const [head, type] = begin
  const payloadEnd = text.lastIndexOf(BEFORE_DST) + 1
  const dst = USUAL_END.exec(text.slice(payloadEnd))?.[1]
  if (dst === undefined || !isJson(text.slice(head.length, payloadEnd))) return null
  return { type, dst, body: text.slice(BEFORE_TYPE.length, payloadEnd) }
}

/** Throws frame-not-json. */
function readAny (text: string): Frame {
  const { fields: { type, dst }, data: payload } = readEnvelope(text, 'payload')
  return { type, dst, body: `"${String(type)}"${payload === undefined ? '' : `,"payload":${payload}`}` }
}
