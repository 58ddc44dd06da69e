/** The Ayame dialect (github.com/OpenAyame/ayame-spec): rooms of two, in which whoever comes second makes the offer; the door of its socket answers `register`. */
import { TurnpikeError } from '../../protocol/errors.ts'
import { EVERYONE } from '../../protocol/frames.ts'
import type { Dialect, Happening, Speaker } from '../dialect.ts'
import { readCandidate, readDescription, readNative } from './native-data.ts'

const BYE = '{"type":"bye"}'

export const ayame: Dialect = {
  name: 'ayame',
  takesBinary: false,
  // Its server forwards the very bytes.
  relay: (_from, body) => body,
  fromNative: (_from, data) => {
    const native = readNative(data)
    if (native === null) return null
    if (native.is === 'end') return ''
    return JSON.stringify(native.is === 'description' ? { type: native.type, sdp: native.sdp } : { type: 'candidate', ice: native.candidate })
  },
  toNative: body => {
    const message = JSON.parse(body) as { type: string, ice?: unknown }
    if (message.type !== 'candidate') {
      const description = readDescription(message)
      return description === null ? undefined : { description: { type: description.type, sdp: description.sdp } }
    }
    const candidate = readCandidate(message.ice ?? null)
    if (candidate === null) return undefined
    return { candidate: candidate.is === 'end' ? null : candidate.candidate }
  },
  tell,
  receive: (self, text, requests) => {
    const type = typeOf(text)
    switch (type) {
      case 'offer':
      case 'answer':
      case 'candidate': return requests.signal(self, EVERYONE, { spoken: 'ayame', body: text }, null)
      // Said by clients that need nobody any more once they are connected (`standalone`).
      case 'connected':
      case 'bye': return requests.leave(self)
      case 'pong': return
      // What is no string may be nested so deep that it cannot be written.
      default: throw new TurnpikeError('frame-unknown', `type is ${typeof type === 'string' ? JSON.stringify(type.slice(0, 60)) : `no string but ${typeof type}`}`)
    }
  },
}

/** It has no words for errors, presence or the server's own messages. */
function tell (happening: Happening, self: Speaker): string[] {
  if (happening.type === 'welcome') {
    const { session, iceServers, peers } = happening
    const isThere = peers.length > 0
    const { metadata } = self.info
    return [JSON.stringify({ type: 'accept', connectionId: session, ...(Object.keys(metadata).length > 0 ? { authzMetadata: metadata } : {}), iceServers, isExistClient: isThere, isExistUser: isThere })]
  }
  const isLeft = happening.type === 'peer-left' || (happening.type === 'presence' && happening.left.length > 0)
  return isLeft ? [BYE] : []
}

function typeOf (text: string): unknown {
  let message: unknown
  try {
    message = JSON.parse(text)
  } catch {
    throw new TurnpikeError('frame-not-json', 'the frame cannot be read as JSON')
  }
  if (typeof message !== 'object' || message === null || Array.isArray(message)) throw new TurnpikeError('frame-not-json', 'the frame is JSON, but no object')
  return (message as { type?: unknown }).type
}
