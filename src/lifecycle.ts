/** Parts that have a life: started in order, stopped in reverse, each within a deadline. */

export type Part = {
  name: string
  start (): Promise<void>
  /** Ends the part; resolves at the latest when the deadline (in ms) has passed. */
  stop (deadlineMs: number): Promise<void>
}

/** The logger that parts see: pino's four levels, an object first, then what happened. */
export type Log = {
  debug (fields: object, message: string): void
  info (fields: object, message: string): void
  warn (fields: object, message: string): void
  error (fields: object, message: string): void
}

/** Starts parts in order. Where one fails, those already started are stopped again and its error is thrown. */
export async function startAll (parts: readonly Part[]): Promise<void> {
  const started: Part[] = []
  for (const part of parts) {
    try {
      await part.start()
      started.push(part)
    } catch (error) {
      await stopAll(started, 2000)
      throw error
    }
  }
}

/** Stops parts in reverse order. All of them are stopped even if some fail; the first failure is thrown afterwards. */
export async function stopAll (parts: readonly Part[], deadlineMs: number): Promise<void> {
  const endsAt = performance.now() + deadlineMs
  const failures: unknown[] = []
  for (const part of [...parts].reverse()) {
    try {
      await part.stop(Math.max(0, endsAt - performance.now()))
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw failures[0]
}
