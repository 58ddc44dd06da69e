/** The log: pino, one line for each event, to standard error; pretty only where a person looks at it. */
import pino, { type Logger } from 'pino'
import pretty from 'pino-pretty'

/** Names under which a secret could be handed to the log by mistake; the value is never written. */
const SECRET_NAMES = ['authorization', 'cookie', 'secret', 'password', 'credential', 'token', 'apiKey', 'adminKey', 'key', 'conf']

/** Standard output is left to what a command answers, so that both can be used apart. */
export function createLogger (level: string, toTerminal: boolean): Logger {
  const options = {
    level,
    base: {},
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: SECRET_NAMES.flatMap(name => [name, `*.${name}`, `*.*.${name}`]), censor: '[secret]' },
    // A library may log the address of a request; its query can hold a room token.
    serializers: { path: (path: unknown) => String(path).replace(/\?.*$/s, '') },
    formatters: { level: (label: string) => ({ level: label }) },
  }
  // Written at once: a line that waits in a buffer is lost with the process that it would explain.
  if (toTerminal) return pino(options, pretty({ destination: 2, sync: true, translateTime: 'SYS:HH:MM:ss', ignore: 'pid,hostname' }))
  return pino(options, pino.destination({ dest: 2, sync: true }))
}
