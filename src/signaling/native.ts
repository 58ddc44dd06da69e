/** The native protocol, version 1, as text (protocol/frames.ts, docs/signaling.md). */
import type { Happening } from './dialect.ts'

/** All of a numbered frame that comes behind its number, or null where the frame has none. */
export function nativeTail (happening: Happening): string | null {
  switch (happening.type) {
    case 'peer-joined':
    case 'peer-updated': return `,"peer":${JSON.stringify(happening.peer)}}`
    case 'peer-left': return `,"id":${JSON.stringify(happening.id)},"reason":"${happening.reason}"}`
    case 'presence': return `,"left":${JSON.stringify(happening.left)},"joined":${JSON.stringify(happening.joined)},"updated":${JSON.stringify(happening.updated)}}`
    case 'ice-servers': return `,"iceServers":${JSON.stringify(happening.iceServers)},"iceExpiresAt":${happening.iceExpiresAt}}`
    case 'message': return `,"data":${happening.data}}`
    // What answers a frame with a number must not be lost with a socket.
    case 'error': return happening.ref === null ? null : `,"ref":${happening.ref},"code":"${happening.code}","message":${JSON.stringify(happening.message)}}`
    case 'welcome':
    case 'accepted':
    case 'delivered':
    case 'draining': return null
  }
}

/** A frame that has no number. */
export function plainFrame (happening: Happening): string {
  if (happening.type === 'accepted') return `{"type":"accepted","ref":${happening.ref}}`
  if (happening.type === 'error') return JSON.stringify({ type: 'error', ref: null, code: happening.code, message: happening.message })
  return JSON.stringify(happening)
}

/** All of a signal behind its number. */
export function signalTail (from: string, data: string): string {
  return `,"from":${JSON.stringify(from)},"data":${data}}`
}
