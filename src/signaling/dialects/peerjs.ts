/**
 * PeerJS, as its client speaks it (npm peerjs 1.5.5). Signals between its clients go on as they came; to peers that speak otherwise it
 * has nothing to say, because its payload names connections that only its own clients have.
 */
import { isValidId } from '../../protocol/frames.ts'
import { PEERJS_OPEN, peerjsExpire, peerjsRefusal } from '../../protocol/peerjs.ts'
import type { Dialect } from '../dialect.ts'
import { readEnvelope } from '../envelope.ts'

/** HEARTBEAT, the sixth, needs no answer: the server pings by itself. */
const FORWARDED: ReadonlySet<unknown> = new Set(['OFFER', 'ANSWER', 'CANDIDATE', 'LEAVE', 'EXPIRE'])
/** Whether they arrive is nobody's concern. */
const UNTOLD = -1
const REF_OF_TYPE: Readonly<Record<string, number>> = { LEAVE: UNTOLD, EXPIRE: UNTOLD }
/** Longer than any id, and none begins with it. */
const NOBODY = '/'

export const peerjs: Dialect = {
  name: 'peerjs',
  takesBinary: true,
  relay: (from, body, self) => {
    const end = body.indexOf(',')
    const type = end === -1 ? body : body.slice(0, end)
    return `{"type":"${type}","src":${JSON.stringify(from)},"dst":${JSON.stringify(self.info.id)}${end === -1 ? '' : body.slice(end)}}`
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
    const { fields: { type, dst }, data: payload } = readEnvelope(text, 'payload')
    if (!FORWARDED.has(type)) return
    if (typeof dst !== 'string' || dst === '') {
      if (type === 'LEAVE' && (dst ?? '') === '') requests.leave(self)
      return
    }
    const body = payload === undefined ? String(type) : `${String(type)},"payload":${payload}`
    const to = isValidId(dst) ? dst : NOBODY + dst.slice(0, 128)
    requests.signal(self, to, { spoken: 'peerjs', body }, REF_OF_TYPE[String(type)] ?? null)
  },
}
