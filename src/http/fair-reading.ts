/**
 * How much of what a socket sends is dealt with at a time. ws handles all that one read has brought in one go, and a read can bring
 * megabytes: everybody else would wait for who sends most. Here a socket has a small part of each turn of the event loop, one that is
 * over its rate is not read for a moment (TCP then holds its sender back), and what comes after we have closed is not read for long.
 */
import type { Socket as TcpSocket } from 'node:net'
import type { WebSocket } from 'ws'

/** What is handed to ws at once: the frames in it cannot be stopped between. */
const SLICE_BYTES = 4096
/** Of one socket in one turn: more than a peer sends at a time that keeps to its rate. */
const TURN_BYTES = 16_384
const TURN_FRAMES = 16
/** How long a socket that is over its rate is left alone. */
const HELD_MS = 50
/** After we have closed: what may have been on its way. Whoever sends more is not listening, and is given so long to read why. */
const LAST_BYTES = 65_536
const LAST_MS = 250

const READING = Symbol('reading')
type Reading = { readonly ws: WebSocket, last: number }
type Read = TcpSocket & { [READING]: Reading }
type OnData = (this: TcpSocket, chunk: Buffer) => void

/** What has come in this turn from the socket that is being read. */
const heard = { frames: 0, isTooFast: false }

/** Stands between the TCP socket and ws. */
export function readFairly (ws: WebSocket, tcp: TcpSocket): void {
  const [onData] = tcp.listeners('data') as OnData[]
  if (onData === undefined) return
  Object.assign(tcp, { [READING]: { ws, last: LAST_BYTES } satisfies Reading })
  tcp.off('data', onData)
  tcp.on('data', readerFor(onData))
  tcp.prependListener('close', dropRest)
}

/** A frame has come. `isWelcome`: it was within the rate of its sender. */
export function countFrame (isWelcome: boolean): void {
  heard.frames++
  if (!isWelcome) heard.isTooFast = true
}

const readers = new Map<OnData, OnData>()

/** ws has one listener for all sockets. It takes it off when it is to be handed no more: `listener` lets it find ours in its place, as it would find one of `once` (Node.js, events: rawListeners). */
function readerFor (onData: OnData): OnData {
  const known = readers.get(onData)
  if (known !== undefined) return known
  const reader = Object.assign(function (this: TcpSocket, chunk: Buffer): void { read(this as Read, chunk, onData) }, { listener: onData })
  readers.set(onData, reader)
  return reader
}

function read (tcp: Read, chunk: Buffer, onData: OnData): void {
  const { ws } = tcp[READING]
  heard.frames = 0
  heard.isTooFast = false
  const most = Math.min(chunk.length, TURN_BYTES)
  let at = 0
  while (at < most && heard.frames < TURN_FRAMES) {
    const slice = chunk.length <= SLICE_BYTES ? chunk : chunk.subarray(at, at + SLICE_BYTES)
    at += slice.length
    onData.call(tcp, slice)
    if (tcp.destroyed || hasEnded(tcp)) return
  }
  if (ws.readyState === ws.CLOSING && (tcp[READING].last -= at) < 0) return ignoreRest(ws)
  if (at === chunk.length && heard.frames < TURN_FRAMES && !heard.isTooFast) return
  // ws too pauses the TCP socket, and lets it go on only where it is not paused here.
  ws.pause()
  if (at < chunk.length) tcp.unshift(chunk.subarray(at))
  if (heard.isTooFast) setTimeout(goOn, HELD_MS, ws)
  else setImmediate(goOn, ws)
}

function goOn (ws: WebSocket): void {
  ws.resume()
}

function ignoreRest (ws: WebSocket): void {
  ws.pause()
  setTimeout(() => ws.terminate(), LAST_MS).unref()
}

/** ws is done with a socket: its peer has said goodbye, or sent what is no WebSocket frame. Until it ends, what it sends costs little. */
function hasEnded (tcp: TcpSocket): boolean {
  if (tcp.listenerCount('data') > 0) return false
  tcp.on('data', ignore)
  return true
}

function ignore (this: TcpSocket): void {
  this.pause()
  setTimeout(() => this.resume(), HELD_MS).unref()
}

/** At its end ws would handle at once all that a socket has sent and we have not read. Whoever is reset cannot count on that: the kernel drops what it has, too. */
function dropRest (this: TcpSocket): void {
  if (this.readableLength <= TURN_BYTES) return
  this.removeAllListeners('data')
  while (this.read() !== null);
}
