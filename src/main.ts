/** The process: arguments in, exit code out, and the last word on an error that nobody expected. */
import { runCommand } from './cli/commands.ts'
import { describeFailure, exitCodeOf } from './cli/failure.ts'

process.on('uncaughtException', end)
process.on('unhandledRejection', end)

try {
  process.exitCode = await runCommand(process.argv.slice(2))
} catch (error) {
  end(error)
}

function end (error: unknown): void {
  process.stderr.write(describeFailure(error))
  process.exit(exitCodeOf(error))
}
