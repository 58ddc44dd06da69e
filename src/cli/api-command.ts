/** What a command is that asks the API: one request, and how its answer is shown. */
import type { ApiRequest } from './api-client.ts'
import type { Command, Input } from './command.ts'

type Json = Record<string, unknown>

export type ApiCommand = Command & {
  request: (input: Input) => ApiRequest
  /** The name of the list in the answer, where it comes in pages. */
  list?: string
  /** For standard output. */
  show: (answer: Json, input: Input) => string
  /** Is the answer printed as it comes? */
  isRaw?: (input: Input) => boolean
  /** A remark for standard error, so that what is printed can be piped. */
  remark?: (answer: Json) => string
}
