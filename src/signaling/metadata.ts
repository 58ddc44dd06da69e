/** What metadata may be, whoever it comes from but a peer: a peer's own is refused in the words of frames. */
import { TurnpikeError } from '../protocol/errors.ts'
import { DEEPEST_METADATA, isNestedDeeper, type Metadata } from '../protocol/frames.ts'

/** Throws invalid-request or metadata-too-large. */
export function requireMetadata (metadata: Metadata, mostBytes: number): void {
  requireShallow('metadata', metadata)
  if (Buffer.byteLength(JSON.stringify(metadata)) > mostBytes) throw new TurnpikeError('metadata-too-large', `metadata may have ${mostBytes} bytes as JSON`)
}

/** What is nested without bound cannot be written by anybody who writes it recursively. Throws invalid-request. */
export function requireShallow (field: string, value: unknown): void {
  if (!isNestedDeeper(value, DEEPEST_METADATA)) return
  const message = `must not be nested deeper than ${DEEPEST_METADATA}`
  throw new TurnpikeError('invalid-request', `${field} ${message}`, { fields: [{ field, message }] })
}
