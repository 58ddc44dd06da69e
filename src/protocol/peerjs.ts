/** What the PeerJS server tells its clients, as it stands on the wire (npm peer 1.0.2, peerjs 1.5.5). */
import { errorEntry, type ErrorCode } from './errors.ts'

export const PEERJS_OPEN = '{"type":"OPEN"}'

/** The other peer of a signal is not there. The client makes it the error peer-unavailable. */
export function peerjsExpire (absent: string, self: string): string {
  return `{"type":"EXPIRE","src":${JSON.stringify(absent)},"dst":${JSON.stringify(self)}}`
}

/** Why a client is not served (any more): it gives up when it reads this, so a close may follow. */
export function peerjsRefusal (code: ErrorCode, detail: string): string {
  // The client knows this one by its type: it is the error unavailable-id.
  if (code === 'peer-id-taken') return '{"type":"ID-TAKEN","payload":{"msg":"ID is taken"}}'
  return `{"type":"ERROR","payload":{"msg":${JSON.stringify(`${errorEntry(code).title}: ${detail} (${code})`)}}}`
}

/** The same for a key that names another project than the token: the client makes it the error invalid-key. */
export const PEERJS_INVALID_KEY = '{"type":"INVALID-KEY","payload":{"msg":"Invalid key provided"}}'
