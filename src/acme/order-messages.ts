/** What is said between us and the process that asks the authority (order-process.ts). */

export type Order = {
  /** URL of the authority's directory. */
  directory: string
  /** PEM by which the authority is trusted, beside those that everybody trusts. */
  ca: string | null
  accountKey: string
  email: string | null
  names: readonly string[]
  challenge: 'http-01' | 'dns-01'
  /** How often it is asked how far it is, half a second apart at first and five in the end. */
  polls: number
}
export type Task = { order: Order } | { placeholder: { organisation: string } }
/** To be shown to the authority, or no longer. `value`: what stands at the path of http-01, or in the record of dns-01. */
export type Challenge = { name: string, token: string, value: string }

export type ToProcess = Task | { answered: number, problem: string | null }
export type Question = { ask: number, present: boolean, challenge: Challenge }
export type FromProcess =
  | Question
  | { done: { cert: string, key: string } }
  | { failed: Failure }
export type Failure = {
  /** The authority did not answer, or only that it is out of order; it was not through when we had waited long enough; or its answer was another one than RFC 8555 knows. */
  kind: 'unreachable' | 'pending' | 'strange'
  message: string
  /** What the authority said: RFC 7807, as RFC 8555 §6.7 uses it. */
  said: Said[]
  /** Of its last refusal, in seconds; null where it named none. */
  retryAfterSeconds: number | null
}
export type Said = { /** After urn:ietf:params:acme:error: */ type: string, detail: string, status: number }
