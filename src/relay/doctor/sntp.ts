/** Asks a time server for the time (SNTP: RFC 5905 §14): one packet there, one back. */
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'

const PACKET_BYTES = 48
const PORT = 123
/** From 1900, where NTP counts from, to 1970. */
const EPOCH_SECONDS = 2_208_988_800
/** No leap second, version 4, a client. */
const CLIENT = 0x23
const MODE_SERVER = 4

/** How many seconds our clock is behind the server's (negative: ahead). Throws where there is no usable answer. */
export async function askTime (server: string, timeoutMs: number): Promise<number> {
  const [, host = server, port = String(PORT)] = /^(.*):(\d+)$/.exec(server) ?? []
  const socket = createSocket('udp4')
  const request = Buffer.alloc(PACKET_BYTES)
  request[0] = CLIENT
  // The server sends it back: who does not know it cannot answer.
  const cookie = randomBytes(8)
  cookie.copy(request, 40)
  try {
    return await new Promise<number>((resolve, reject) => {
      const deadline = setTimeout(() => reject(new Error('no answer')), timeoutMs)
      deadline.unref()
      socket.on('error', reject)
      // dgram hands a failed connect to the callback; Node's types do not know that argument.
      const connected = (error?: Error): void => {
        if (error !== undefined) return reject(error)
        const sentAt = Date.now() / 1000
        socket.on('message', answer => {
          const offset = offsetIn(answer, cookie, sentAt, Date.now() / 1000)
          if (offset === null) return
          clearTimeout(deadline)
          resolve(offset)
        })
        socket.send(request)
      }
      socket.connect(Number(port), host, connected)
    })
  } finally {
    socket.close()
  }
}

/** Null for what is no answer to our request, or of a server that does not know the time itself. */
export function offsetIn (answer: Buffer, cookie: Buffer, sentAt: number, receivedAt: number): number | null {
  if (answer.length < PACKET_BYTES || ((answer[0] ?? 0) & 7) !== MODE_SERVER || !answer.subarray(24, 32).equals(cookie)) return null
  const stratum = answer[1] ?? 0
  const isUnsynchronised = (answer[0] ?? 0) >> 6 === 3
  if (isUnsynchronised || stratum === 0 || stratum > 15) return null
  return (timeAt(answer, 32) - sentAt + (timeAt(answer, 40) - receivedAt)) / 2
}

function timeAt (packet: Buffer, at: number): number {
  return packet.readUInt32BE(at) - EPOCH_SECONDS + packet.readUInt32BE(at + 4) / 2 ** 32
}
