/**
 * Who came, left or changed in a room, told to whom it concerns: at once where little happens, ten times a second where much does.
 * A storm of joins is one frame for each member every tenth of a second, not one for each member and join.
 */
import type { LeaveReason, PeerInfo, PeerLeft, PeerView } from '../protocol/frames.ts'
import type { Happening } from './dialect.ts'
import { nativeTail } from './native.ts'
import { RateBucket } from './rate.ts'
import type { Session } from './session.ts'

export type Change = { type: 'joined' | 'updated', info: PeerInfo, session: Session } | { type: 'left', info: PeerInfo, session: Session, reason: LeaveReason }
type Told = { happenings: Happening[], tails: (string | null)[] }
export type PresenceNeeds = { members (): Iterable<Session>, sees (viewer: Session, other: Session): boolean, watch (change: Change): void }

/** Rounds that are told at once, and how many a second are on end. */
const ROUNDS = 10
const PAUSE_MS = 1000 / ROUNDS
/** More changes at once are told in one frame. */
const MOST_FRAMES = 8

export class Presence {
  readonly #needs: PresenceNeeds
  readonly #log: Change[] = []
  /** The number of the first change in the log. */
  #first = 0
  readonly #rounds = new RateBucket(ROUNDS, ROUNDS, performance.now())
  #timer: NodeJS.Timeout | null = null
  #isTelling = false

  constructor (needs: PresenceNeeds) {
    this.#needs = needs
  }

  /** The number that the next change will have. */
  get next (): number {
    return this.#first + this.#log.length
  }

  record (change: Change): void {
    this.#needs.watch(change)
    this.#log.push(change)
    if (this.#timer !== null) return
    // What telling does to a member (who does not read is let go) is told with a round of its own, behind this one.
    if (!this.#isTelling && this.#rounds.take(performance.now()) === 'fine') this.#tellAll()
    else this.#timer = setTimeout(() => this.#tellAll(), PAUSE_MS)
  }

  /** Tells one member what the others will hear with the next round. */
  catchUp (member: Session): void {
    this.#tell(member, null, this.next)
  }

  close (): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  #tellAll (): void {
    this.#timer = null
    const known = new Map<string, Told>()
    const end = this.next
    this.#isTelling = true
    for (const member of [...this.#needs.members()]) this.#tell(member, known, end)
    this.#isTelling = false
    this.#log.splice(0, end - this.#first)
    this.#first = end
  }

  #tell (member: Session, known: Map<string, Told> | null, end: number): void {
    if (member.presenceCursor >= end) return
    const [from, to] = [Math.max(0, member.presenceCursor - this.#first), end - this.#first]
    member.presenceCursor = end
    // Members of one role who were there before all of this hear the same.
    const isOlder = this.#log.slice(from, to).every(({ session }) => session.joinedAs > member.joinedAs)
    const key = isOlder ? `${from} ${member.info.role}` : null
    const found = key === null ? undefined : known?.get(key)
    const told = found ?? this.#fold(member, from, to)
    if (key !== null) known?.set(key, told)
    told.happenings.forEach((happening, i) => {
      const tail = told.tails[i] ?? null
      if (tail !== null && member.dialect === null) member.tellNumbered(happening.type, tail)
      else member.tell(happening)
    })
  }

  /** What has come of the changes from one up to another, for one member: who came and went again meanwhile is not told of. */
  #fold (member: Session, from: number, to: number): Told {
    const left = new Map<string, PeerLeft>()
    const joined = new Map<string, PeerView>()
    const updated = new Map<string, PeerView>()
    for (const change of this.#log.slice(from, to)) {
      const { info: { id }, session } = change
      if (session === member || !this.#needs.sees(member, session)) continue
      if (change.type === 'left') {
        updated.delete(id)
        if (!joined.delete(id)) left.set(id, { id, reason: change.reason })
        continue
      }
      const view = { ...change.info, polite: member.joinedAs < session.joinedAs }
      if (change.type === 'joined' || joined.has(id)) joined.set(id, view)
      else updated.set(id, view)
    }
    const happenings = inFrames([...left.values()], [...joined.values()], [...updated.values()])
    return { happenings, tails: happenings.map(nativeTail) }
  }
}

function inFrames (left: PeerLeft[], joined: PeerView[], updated: PeerView[]): Happening[] {
  if (left.length + joined.length + updated.length > MOST_FRAMES) return [{ type: 'presence', left, joined, updated }]
  return [
    ...left.map(peer => ({ type: 'peer-left' as const, ...peer })),
    ...joined.map(peer => ({ type: 'peer-joined' as const, peer })),
    ...updated.map(peer => ({ type: 'peer-updated' as const, peer })),
  ]
}
