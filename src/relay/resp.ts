/** Reads Redis' wire protocol (RESP2), as far as its clients speak it: arrays of bulk strings, pipelined, split at any byte. */

const MOST_ARGUMENTS = 64
const MOST_BULK_BYTES = 4096
const MOST_WAITING_BYTES = 65_536

/** The bytes are no RESP, or larger than anything coturn sends. */
export class RespError extends Error {}

/** Collects bytes of one connection and hands out whole commands. */
export class RespCommands {
  #waiting: Buffer = Buffer.alloc(0)

  /** Adds bytes as they came; returns the commands that are whole now. Throws RespError. */
  push (bytes: Buffer): string[][] {
    this.#waiting = this.#waiting.length === 0 ? bytes : Buffer.concat([this.#waiting, bytes])
    const commands: string[][] = []
    for (let next = parseCommand(this.#waiting); next !== null; next = parseCommand(this.#waiting)) {
      commands.push(next.command)
      this.#waiting = this.#waiting.subarray(next.end)
    }
    if (this.#waiting.length > MOST_WAITING_BYTES) throw new RespError('a command is too large')
    return commands
  }
}

function parseCommand (bytes: Buffer): { command: string[], end: number } | null {
  const head = parseNumber(bytes, 0, '*', MOST_ARGUMENTS)
  if (head === null) return null
  const command: string[] = []
  let at = head.end
  for (let i = 0; i < head.value; i++) {
    const length = parseNumber(bytes, at, '$', MOST_BULK_BYTES)
    if (length === null) return null
    const end = length.end + length.value
    if (bytes.length < end + 2) return null
    if (bytes[end] !== 13 || bytes[end + 1] !== 10) throw new RespError('a string does not end where it says')
    command.push(bytes.toString('utf8', length.end, end))
    at = end + 2
  }
  return { command, end: at }
}

/** A line such as `*3\r\n`; null while it is not whole. */
function parseNumber (bytes: Buffer, at: number, mark: string, most: number): { value: number, end: number } | null {
  if (at >= bytes.length) return null
  if (bytes[at] !== mark.charCodeAt(0)) throw new RespError(`expected ${mark}`)
  const lineEnd = bytes.indexOf('\r\n', at + 1)
  if (lineEnd === -1) {
    if (bytes.length - at > 12) throw new RespError('a number is too long')
    return null
  }
  const digits = bytes.toString('latin1', at + 1, lineEnd)
  const value = Number(digits)
  if (!/^\d{1,7}$/.test(digits) || value > most) throw new RespError(`${mark} is followed by something else than a number up to ${most}`)
  return { value, end: lineEnd + 2 }
}
