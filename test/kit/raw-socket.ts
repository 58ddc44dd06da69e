/** A WebSocket as bytes (RFC 6455), for peers that do what no WebSocket client does. */
import { connect, type Socket } from 'node:net'
import { SUBPROTOCOL, TOKEN_PREFIX } from '../../src/protocol/frames.ts'

export const OPCODE = { more: 0, text: 1, close: 8, ping: 9, pong: 10 }

/** A frame as a client sends it, with a mask that changes nothing. */
export function frameOf (opcode: number, payload = '', isLast = true): Buffer {
  const bytes = Buffer.from(payload)
  const length = bytes.length < 126 ? [bytes.length | 128] : [126 | 128, bytes.length >> 8, bytes.length & 255]
  return Buffer.concat([Buffer.from([opcode | (isLast ? 128 : 0), ...length, 0, 0, 0, 0]), bytes])
}

/** So many bytes of these frames, in turn. */
export function repeated (frames: readonly Buffer[], bytes: number): Buffer {
  const once = Buffer.concat(frames)
  return Buffer.concat(Array.from({ length: Math.ceil(bytes / once.length) }, () => once))
}

/** Resolves when the server has taken it as a WebSocket. */
export async function openRaw (port: number, token: string, query = ''): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write(`GET /v1/signal${query} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\nSec-WebSocket-Protocol: ${SUBPROTOCOL}, ${TOKEN_PREFIX}${token}\r\n\r\n`)
  const answer = await new Promise<string>(resolve => {
    socket.once('data', (bytes: Buffer) => resolve(bytes.toString('latin1')))
    socket.once('close', () => resolve('closed'))
  })
  if (!answer.startsWith('HTTP/1.1 101')) throw new Error(answer)
  return socket
}
