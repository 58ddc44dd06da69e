/** The servers that are compared, as the load sees them: how its peers come in and what they say. The same rooms, data and load for each. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { AS_SHIPPED, startProgram, startServer, type Program } from './processes.ts'
import { Frame, openPeers, type Entrance, type LoadPeer, type Talker } from './socket-load.ts'

export type Contender = {
  program: Program
  port: number
  /** So many rooms of so many peers, each with a frame of so many bytes for the other, or for all others where there are more. */
  talkers (rooms: number, size: number, bytes: number): Promise<Talker[][]>
}

type Speech = {
  entrances (program: Program, rooms: number, size: number): Promise<Entrance[]> | Entrance[]
  frame (to: string, data: object): string
  /** Names of peers within a room; where a server knows no rooms, they say which. */
  peer? (room: number, peer: number): string
  signalBegins: string
}

/** SDP as it comes: long lines, each of them ended by two characters that JSON escapes. */
const SDP_LINE = 'a=candidate:842163049 1 udp 1677729535 203.0.113.77 46154 typ srflx raddr 10.0.0.17 rport 46154 generation 0\r\n'

const native = (withPromises: boolean): Pick<Speech, 'frame' | 'signalBegins'> => ({
  frame: (to, data) => withPromises
    ? `{"type":"signal","cid":{cid},"to":"${to}","data":${JSON.stringify(data)},"ack":{ack}}`
    : JSON.stringify({ type: 'signal', to, data }),
  signalBegins: '{"type":"signal",',
})
const byPath = (_program: Program, rooms: number, size: number): Entrance[] => Array.from({ length: rooms * size }, (_, i) => ({ path: `/r${size}-${Math.floor(i / size)}/p${i % size}` }))
const PEER_JS: Pick<Speech, 'frame' | 'signalBegins'> = { frame: (dst, data) => JSON.stringify({ type: 'OFFER', payload: data, dst }), signalBegins: '{"type":"OFFER"' }
const byPeerJsToken: Speech['entrances'] = async (program, rooms, size) => {
  const tokens = JSON.parse(await program.say(`tokens ${rooms} ${size}`)) as string[]
  return tokens.map((token, i) => ({ path: `/peerjs/peerjs?key=default&id=p${i % size}&token=${token}&version=1.5.5` }))
}
const byToken = (query: string): Speech['entrances'] => async (program, rooms, size) => {
  const tokens = JSON.parse(await program.say(`tokens ${rooms} ${size}`)) as string[]
  return tokens.map(token => ({ path: `/v1/signal${query}`, protocols: `turnpike.v1, turnpike.token.${token}` }))
}

const SPEECHES = {
  ours: { entrances: byToken(''), ...native(false), signalBegins: '{"type":"signal","seq":' },
  'ours, promising': { entrances: byToken('?ack=0'), ...native(true), signalBegins: '{"type":"signal","seq":' },
  plain: { entrances: byPath, ...native(false) },
  'plain, accepting': { entrances: byPath, ...native(true) },
  bare: { entrances: byPath, ...native(false) },
  epoll: { entrances: byPath, ...native(false) },
  'socket.io': {
    entrances: (_, rooms, size) => Array.from({ length: rooms * size }, (_, i) => ({ path: `/socket.io/?EIO=4&transport=websocket&room=r${size}-${Math.floor(i / size)}&peer=p${i % size}`, hello: '40' })),
    frame: (to, data) => `42${JSON.stringify(['signal', { to, data }])}`,
    signalBegins: '42["signal",',
  },
  'ours, PeerJS': { entrances: byPeerJsToken, ...PEER_JS },
  peer: {
    entrances: (_, rooms, size) => Array.from({ length: rooms * size }, (_, i) => ({ path: `/peerjs?key=peerjs&id=r${Math.floor(i / size)}p${i % size}&token=t${i}&version=1.5.4` })),
    peer: (room, peer) => `r${room}p${peer}`,
    ...PEER_JS,
  },
} satisfies Record<string, Speech>
export type SpeechName = keyof typeof SPEECHES

/** A server that runs, with peers of its own kind of speech. */
export function contender (program: Program, name: SpeechName): Contender {
  const speech: Speech = SPEECHES[name]
  const { port } = JSON.parse(program.line) as { port: number }
  const opened = new Map<string, LoadPeer[]>()
  return {
    program,
    port,
    talkers: async (rooms, size, bytes) => {
      const key = `${rooms} ${size}`
      const peers = opened.get(key) ?? await openPeers(port, await speech.entrances(program, rooms, size), speech.signalBegins)
      opened.set(key, peers)
      const nameOf = speech.peer ?? ((_, peer: number) => `p${peer}`)
      const frames = new Map<string, Frame>()
      const frameTo = (to: string): Frame => {
        const frame = frames.get(to) ?? new Frame(frameOf(bytes, data => speech.frame(to, data)))
        frames.set(to, frame)
        return frame
      }
      return Array.from({ length: rooms }, (_, room) => peers.slice(room * size, (room + 1) * size).map((peer, i) => ({ peer, frame: frameTo(size > 2 ? '*' : nameOf(room, 1 - i)) })))
    },
  }
}

/** How a peer comes back that was welcomed so. */
export function resumeEntrance ({ resume }: { resume: string }, ack: number): Entrance {
  return { path: `/v1/signal?ack=${ack}`, protocols: `turnpike.v1, turnpike.resume.${resume}` }
}

/** A frame of so many bytes: as much SDP as fits. */
function frameOf (bytes: number, frame: (data: object) => string): string {
  const data = (sdp: string): object => ({ description: { type: 'offer', sdp } })
  const room = bytes - frame(data('')).length
  // Each line has two escapes.
  const lines = Math.floor(room / (SDP_LINE.length + 2))
  return frame(data(SDP_LINE.repeat(lines) + 'x'.repeat(room - lines * (SDP_LINE.length + 2))))
}

/** Ours is started as it is shipped, the others by node alone. */
export async function startContender (name: SpeechName, nodeFlags: string[] = []): Promise<Contender> {
  const [server = ''] = name.split(',')
  return contender(await startServer('bench/signaling-server.ts', [server], [...nodeFlags, ...(server === 'ours' ? AS_SHIPPED : [])]), name)
}

/** What can be done at all; null where there is no compiler for it. */
export async function startLimit (): Promise<Contender | null> {
  const binary = `${mkdtempSync(`${tmpdir()}/turnpike-bench-`)}/epoll-limit`
  if (spawnSync('g++', ['-O2', '-std=c++20', '-o', binary, 'bench/epoll-limit.cpp'], { stdio: 'ignore' }).status !== 0) return null
  return contender(await startProgram([binary]), 'epoll')
}
