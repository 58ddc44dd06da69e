/** What the guard answers where it passes nothing on, in the shape of the engine's own errors. */

export class Refused extends Error {
  readonly status: number

  /** `message` is told to the caller and to the log: no value out of a body may stand in it. */
  constructor (message: string, status = 403) {
    super(message)
    this.status = status
  }
}
