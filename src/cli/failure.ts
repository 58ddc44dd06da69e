/** How the command line speaks of an error: what, why, cure; and which exit code it ends with (sysexits.h). */
import { errorEntry, isTurnpikeError } from '../protocol/errors.ts'

/** A few lines for a person; a stack only where the error is not one of ours. */
export function describeFailure (error: unknown): string {
  if (!isTurnpikeError(error)) return `turnpike: something failed that should not: ${error instanceof Error ? error.stack ?? error.message : String(error)}\n`
  const entry = errorEntry(error.code)
  return `turnpike: ${entry.title}: ${error.message}\n  cure: ${entry.cure} [${error.code}]\n`
}

/** The exit code of a command that ended with this error; 70 (EX_SOFTWARE) where the table names none. */
export function exitCodeOf (error: unknown): number {
  return isTurnpikeError(error) ? errorEntry(error.code).exit ?? 70 : 70
}
