/** The one error class of the SDK: `code` says what, `retry` says whether it is worth another try. */
import type { ErrorCode, Retry } from '../protocol/errors.ts'

/** What goes wrong on this side of the socket. Everything else has a code of docs/errors.md, as the server said it. */
export type ClientErrorCode =
  | 'left'
  | 'connection-lost'
  | 'connection-ended'
  | 'token-unavailable'
  | 'queue-full'
  | 'too-many-events'
  | 'no-webrtc'
  | 'negotiation-failed'

export class TurnpikeClientError extends Error {
  readonly code: ErrorCode | ClientErrorCode
  readonly retry: Retry

  constructor (code: ErrorCode | ClientErrorCode, message: string, retry: Retry = 'never', cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'TurnpikeClientError'
    this.code = code
    this.retry = retry
  }
}
