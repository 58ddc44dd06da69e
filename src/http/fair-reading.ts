/**
 * How much of what a socket sends is dealt with at a time. A read can bring megabytes, and everybody else would wait for who sends most:
 * so a socket has a small part of each turn of the event loop, one that is over its rate is not read for a moment (TCP then holds its
 * sender back), and what comes after we have closed is not read for long.
 */
import type { Socket as TcpSocket } from 'node:net'

/** Of one socket in one turn: more than a peer sends at a time that keeps to its rate. */
const PART_FRAMES = 16
const PART_BYTES = 16_384
/** The same where it is over its rate: each is answered with an error, which costs more than to pass a signal on. */
const PART_TOO_FAST = 8
/** How long a socket that is over its rate is left alone (up to half as long again), and one that talks on behind its own goodbye. */
const HELD_MS = 50
/** After we have closed: what may have been on its way. Whoever sends more is not listening, and is given so long to read why. */
export const LAST_BYTES = 65_536
const LAST_MS = 250

/** What has come of the socket that is being read. */
const part = { frames: 0, bytes: 0, tooFast: 0 }

/** A socket has its turn. */
export function beginPart (): void {
  part.frames = part.bytes = part.tooFast = 0
}

/** So many bytes of a frame have been dealt with. */
export function countBytes (bytes: number): void {
  part.frames++
  part.bytes += bytes
}

/** The frame was above the rate of its sender. */
export function countTooFast (): void {
  part.tooFast++
}

/** Has it had its part? */
export function isPartOver (): boolean {
  return part.frames >= PART_FRAMES || part.bytes >= PART_BYTES || part.tooFast >= PART_TOO_FAST
}

/** Ends the turn of a socket: it goes on in the next one, or in a moment. `rest`: what is not dealt with yet. */
export function endPart (tcp: TcpSocket, rest: Buffer | null): void {
  if (rest === null && part.tooFast === 0 && !isPartOver()) return
  tcp.pause()
  if (rest !== null) tcp.unshift(rest)
  // Not all of them at the same time.
  if (part.tooFast > 0) setTimeout(goOn, HELD_MS * (1 + Math.random() / 2), tcp)
  else setImmediate(goOn, tcp)
}

/** It does not hear that it was closed: it is ended, when it had the time to read why. */
export function endSoon (tcp: TcpSocket): void {
  tcp.pause()
  setTimeout(() => tcp.destroy(), LAST_MS).unref()
}

/** Reads what is thrown away, so that the end of the connection is seen, and little of it at a time. */
export function ignoreRest (tcp: TcpSocket): void {
  tcp.on('data', ignore)
  process.nextTick(goOn, tcp)
}

function ignore (this: TcpSocket): void {
  this.pause()
  setTimeout(goOn, HELD_MS, this).unref()
}

function goOn (tcp: TcpSocket): void {
  tcp.resume()
}
