/** Our errors as gRPC statuses (google.rpc.Code), and close codes as what a call ends with. */
import type { Metadata, status } from '@grpc/grpc-js'
import { errorEntry, ERRORS, type ErrorCode, type TurnpikeError } from '../protocol/errors.ts'

/** What of @grpc/grpc-js is needed; it is loaded only where the port is set. */
export type Grpc = { status: typeof status, Metadata: typeof Metadata }
/** What a call is ended with; grpc-js takes it as an error. */
export type Ending = { code: number, details: string, metadata: Metadata }

const LEFT = 1000

/** As google.rpc.Code maps them to HTTP. */
const STATUS_OF: Readonly<Record<number, keyof typeof status>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  408: 'UNAVAILABLE',
  409: 'ABORTED',
  410: 'ABORTED',
  413: 'RESOURCE_EXHAUSTED',
  429: 'RESOURCE_EXHAUSTED',
  503: 'UNAVAILABLE',
}

export function refusal (error: TurnpikeError, grpc: Grpc): Ending {
  return endingOf(error.code, error.message, grpc)
}

/** Null where the call ends well. Signaling gives the title of the error as the reason, or its code. */
export function endingFor (closeCode: number, reason: string, grpc: Grpc): Ending | null {
  if (closeCode === LEFT) return null
  const codes = Object.keys(ERRORS) as ErrorCode[]
  const code = codes.find(name => name === reason || errorEntry(name).title === reason) ?? codes.find(name => errorEntry(name).close === closeCode) ?? 'internal'
  return endingOf(code, errorEntry(code).title, grpc)
}

function endingOf (code: ErrorCode, details: string, { status, Metadata }: Grpc): Ending {
  const metadata = new Metadata()
  metadata.set('turnpike-code', code)
  metadata.set('turnpike-retry', errorEntry(code).retry)
  return { code: status[STATUS_OF[errorEntry(code).status] ?? 'INTERNAL'], details, metadata }
}
