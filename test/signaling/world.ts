/**
 * The model that signaling is compared with: rooms, seats in them, and a book of what everybody said, heard and was told.
 * It knows nothing of how the server does it. What must hold at any time is looked at when it happens (`faults`); what must
 * hold when nothing is under way any more is looked at then (`unsettled`).
 */
import type { PeerView, ServerFrame } from '../../src/protocol/frames.ts'
import type { Cable } from '../kit/cable.ts'
import { ResumingPeer, type Over } from '../kit/resuming-peer.ts'
import { Evictions, type Desk } from './evictions.ts'
import { maySee, type Saying, type Seat, type Visit } from './visits.ts'

type Data = { id: number, room: string, from: string, to: string }

export type WorldNeeds = { desk: Desk, url: (cable: Cable) => string, comeBackAfterMs: () => number, graceMs: number, /** May the server end a session because of what is not acknowledged? */ mayEndSessions: boolean }

export class World {
  readonly faults: string[] = []
  readonly seats: readonly Seat[]
  readonly evictions: Evictions
  readonly counts = { said: 0, heard: 0, errors: 0, resumes: 0, joins: 0, refused: 0, unknown: 0, frames: 0 }
  readonly #needs: WorldNeeds
  readonly #sayings = new Map<number, Saying>()
  readonly #visits = new Set<Visit>()
  #nextId = 0
  #nextVisit = 0
  /** What was said before this is settled for good. */
  #settledId = 0

  constructor (seats: readonly Seat[], needs: WorldNeeds) {
    this.seats = seats
    this.#needs = needs
    this.evictions = new Evictions({
      ...{ desk: needs.desk, visits: this.#visits, nextId: () => this.#nextId },
      nameOf: visit => this.#nameOf(visit),
      fault: text => this.faults.push(text),
      join: (seat, mustComeIn) => this.join(seat, false, mustComeIn),
    })
  }

  join (seat: Seat, takeover: boolean, mustComeIn = false): void {
    const incumbent = seat.visit
    const isFirm = incumbent !== null && incumbent.peer.isIn && !incumbent.isTroubled && !incumbent.isDoomed
    const token = takeover ? seat.tokens.takeover : seat.tokens.plain
    const attempt = { attempts: 0, attemptedAt: 0 }
    const peer: ResumingPeer = new ResumingPeer({
      url: () => {
        attempt.attempts++
        attempt.attemptedAt = performance.now()
        return this.#needs.url(seat.cable)
      },
      token: token.text,
      comeBackAfterMs: this.#needs.comeBackAfterMs,
      repeatsAll: this.#nextVisit % 2 === 0,
      onFrame: frame => this.#onFrame(visit, frame, incumbent, isFirm && !takeover),
      onOver: over => this.#onOver(visit, over),
    })
    const visit: Visit = { number: this.#nextVisit++, seat, peer, token, attempt, mustComeIn, isTroubled: seat.cable.isThrottled, isDoomed: false, ended: null, bye: '', metadata: {}, politeness: new Map(), first: null, aliveAt: performance.now(), said: [], lastHeard: new Map(), kicksSeen: new Map() }
    this.#visits.add(visit)
    this.evictions.onJoin(visit)
    this.counts.joins++
    if (incumbent !== null && !(isFirm && !takeover)) incumbent.isDoomed = true
  }

  /** To be said before something is done to the network of a peer. */
  trouble ({ seat }: Visit): void {
    // Who is on the way to the same seat, or was replaced there and has not heard of it, has the same cable.
    for (const visit of this.#visits) {
      if (visit.seat !== seat || visit.peer.over !== null) continue
      if (visit.peer.isIn) visit.aliveAt = performance.now()
      visit.isTroubled = true
    }
  }

  leave (visit: Visit, how: 'frame' | 'close' | 'vanish'): void {
    visit.isDoomed = true
    if (how === 'vanish') visit.peer.vanish()
    else visit.peer.leave(how)
  }

  say (visit: Visit, to: string, filling: string): void {
    const id = this.#nextId++
    const { seat, peer } = visit
    const witnesses = this.seats.flatMap(({ visit: other }) => (other !== null && maySee(seat, other.seat) && (to === '*' || to === other.seat.name) && other.peer.welcome !== null && other.peer.over === null && !other.isDoomed ? [other] : []))
    const data: Data & { filling: string } = { id, room: seat.room, from: seat.name, to, filling }
    const saying: Saying = { id, from: visit, to, cid: peer.signal(to, data), isAccepted: false, errors: [], undeliveredBefore: Infinity, heardBy: [], witnesses }
    this.#sayings.set(id, saying)
    visit.said.push(saying)
    this.counts.said++
  }

  update (visit: Visit, metadata: Record<string, unknown>): void {
    visit.peer.update(metadata)
    visit.metadata = metadata
  }

  end (): void {
    for (const visit of this.#visits) if (visit.peer.over === null) this.leave(visit, 'vanish')
  }

  /** What is not as it must be when nothing is under way. */
  unsettled (): string[] {
    const wrong: string[] = []
    for (const visit of this.#visits) {
      const { peer } = visit
      if (peer.over !== null) continue
      if (!peer.isIn) wrong.push(`${this.#nameOf(visit)} is not back (${peer.lastError})`)
      else if (peer.unaccepted > 0) wrong.push(`${this.#nameOf(visit)} has ${peer.unaccepted} frames without an answer`)
      else if (visit.seat.visit !== visit) wrong.push(`${this.#nameOf(visit)} is in, though ${visit.seat.visit === null ? 'nobody' : 'another'} has its seat`)
      else if (peer.lastCid >= 0 && (peer.delivered ?? -1) < peer.lastCid) wrong.push(`${this.#nameOf(visit)} was told delivered ${peer.delivered} of ${peer.lastCid}`)
    }
    wrong.push(...this.evictions.unsettled())
    if (wrong.length > 0) return wrong
    return [...this.#lost(), ...this.#views()]
  }

  /** Forgets what is settled, so that a long run needs no more memory than a short one. */
  forget (): void {
    // What somebody said who is gone since may come a little later: nobody was left to be told that it had arrived.
    for (const id of this.#sayings.keys()) if (id < this.#settledId) this.#sayings.delete(id)
    this.#settledId = this.#nextId
    this.evictions.forget(this.#nextVisit)
    for (const visit of this.#visits) {
      visit.said.length = 0
      visit.isTroubled = visit.isDoomed = false
      if (visit.peer.over !== null) this.#visits.delete(visit)
    }
  }

  /** What was accepted, and neither arrived nor came back. */
  #lost (): string[] {
    return [...this.#sayings.values()].flatMap(saying => {
      const { from, to, isAccepted, errors, heardBy, witnesses } = saying
      const isToldOf = from.peer.over === null
      const wrong: string[] = []
      // Nobody could tell a sender that is gone; what it was not told is accepted may be lost besides.
      if (isToldOf && !isAccepted && errors.length === 0) wrong.push('was answered by nothing')
      if (isToldOf && isAccepted && to !== '*' && errors.length === 0 && heardBy.length === 0) wrong.push('was accepted and vanished')
      for (const witness of witnesses) {
        const isThere = witness.peer.isIn && !witness.isDoomed
        if (isThere && isAccepted && !heardBy.includes(witness)) wrong.push(`was not heard by ${this.#nameOf(witness)}, who was there all the time (${errors.join()})`)
      }
      return wrong.map(text => `${this.#describe(saying)} ${text}`)
    })
  }

  #views (): string[] {
    const here = this.seats.flatMap(({ visit }) => (visit === null ? [] : [visit]))
    return here.flatMap(visit => {
      const others = here.filter(other => maySee(visit.seat, other.seat))
      const seen = [...visit.peer.view.values()].map(({ id, role, metadata }) => JSON.stringify([id, role, metadata])).sort()
      const there = others.map(({ seat, metadata }) => JSON.stringify([seat.name, seat.role, metadata])).sort()
      if (seen.join() !== there.join()) return [`${this.#nameOf(visit)} sees ${seen.join()} where ${there.join()} are`]
      return others.flatMap(other => this.#impolite(visit, other, visit.peer.view.get(other.seat.name)))
    })
  }

  #impolite (visit: Visit, other: Visit, seen: PeerView | undefined): string[] {
    const mine = seen?.polite
    const theirs = other.peer.view.get(visit.seat.name)?.polite
    if (mine === undefined || theirs === undefined) return []
    const before = visit.politeness.get(other)
    visit.politeness.set(other, mine)
    const pair = `${this.#nameOf(visit)} and ${this.#nameOf(other)}`
    if (mine === theirs) return [`${pair} are both ${mine ? 'polite' : 'impolite'}`]
    if (before !== undefined && before !== mine) return [`${pair}: politeness has changed`]
    // Both lists can name the other only where one of them was a later session.
    const [iSaw, theySaw] = [visit.first?.has(other.seat.name), other.first?.has(visit.seat.name)]
    if (iSaw === theySaw) return []
    return mine === theySaw ? [] : [`${pair}: the newcomer is the polite one`]
  }

  #onFrame (visit: Visit, frame: ServerFrame, incumbent: Visit | null, mustBeRefused: boolean): void {
    // What comes over a cable in trouble may have been on its way for long, and says nothing of now.
    visit.aliveAt = frame.type === 'welcome' ? visit.attempt.attemptedAt : visit.isTroubled ? visit.aliveAt : performance.now()
    this.counts.frames++
    this.evictions.onFrame(visit, frame)
    if (frame.type === 'welcome') this.#onWelcome(visit, incumbent, mustBeRefused)
    else if (frame.type === 'signal') this.#hear(visit, frame.from, frame.data as Data)
    else if (frame.type === 'accepted') this.#onAccepted(visit, frame.ref)
    else if (frame.type === 'error') this.#onError(visit, frame.ref, frame.code, frame.message)
    else if (frame.type === 'delivered') this.#onDelivered(visit, frame.cid)
    const heard = 'peer' in frame ? [frame.peer.id] : 'joined' in frame ? [...frame.joined, ...frame.updated].map(({ id }) => id) : []
    for (const id of heard) if (!this.#mayName(visit.seat, id)) this.#fault(visit, `is told of ${id}`)
    for (const text of visit.peer.faults.splice(0)) this.#fault(visit, text)
  }

  #mayName (seat: Seat, id: string): boolean {
    return this.seats.some(other => other.name === id && maySee(seat, other))
  }

  #onWelcome (visit: Visit, incumbent: Visit | null, mustBeRefused: boolean): void {
    const { seat, peer } = visit
    for (const { id } of peer.welcome?.peers ?? []) if (!this.#mayName(seat, id)) this.#fault(visit, `is welcomed among ${id}`)
    if (peer.welcome?.resumed === true) {
      this.counts.resumes++
      for (const saying of visit.said) if (saying.cid <= (peer.welcome.accepted ?? -1)) saying.isAccepted = true
      return
    }
    visit.first = new Set(peer.welcome?.peers.map(({ id }) => id))
    if (mustBeRefused && incumbent?.isTroubled === false && !incumbent.isDoomed) this.#fault(visit, 'came in though its seat was taken')
    const before = seat.visit
    if (before !== null && before !== visit) before.isDoomed = true
    if (incumbent !== null) incumbent.isDoomed = true
    // Welcomes of two who came at nearly the same time may overtake each other: the other one may have its place, and this one hears of it later.
    if ((before !== null && before !== visit && before !== incumbent) || this.#isRivalOnTheWay(seat)) visit.isDoomed = true
    seat.visit = visit
  }

  #isRivalOnTheWay (seat: Seat): boolean {
    return [...this.#visits].some(({ seat: at, token, peer: { welcome, over } }) => at === seat && token.takesOver && welcome === null && over === null)
  }

  #hear (visit: Visit, from: string, data: Data): void {
    const { seat } = visit
    const saying = this.#sayings.get(data.id)
    this.counts.heard++
    if (saying === undefined) return this.#fault(visit, `hears ${JSON.stringify(data).slice(0, 100)}, which is long settled`)
    const text = this.#describe(saying)
    if (data.room !== seat.room || data.from !== from || (data.to !== '*' && data.to !== seat.name)) this.#fault(visit, `hears what is not for it: ${text}`)
    if (!maySee(saying.from.seat, seat)) this.#fault(visit, `hears what it may not: ${text}`)
    if (saying.heardBy.some(hearer => hearer.seat === seat)) this.#fault(visit, `hears twice: ${text}`)
    if (saying.errors.some(code => code !== 'signal-undelivered')) this.#fault(visit, `hears what came back as ${saying.errors.join()}: ${text}`)
    if (visit.number >= saying.undeliveredBefore) this.#fault(visit, `hears what came back before it came: ${text}`)
    for (const { ended } of [visit, saying.from]) if (ended !== null && data.id >= ended.id) this.#fault(visit, `hears what was said after an administrator had ended one of their sessions: ${text}`)
    saying.heardBy.push(visit)
    const last = visit.lastHeard.get(from) ?? -1
    if (last > data.id) this.#fault(visit, `hears ${text} after #${last}`)
    visit.lastHeard.set(from, data.id)
  }

  #onAccepted (visit: Visit, cid: number): void {
    const saying = visit.said.find(one => one.cid === cid)
    if (saying !== undefined) saying.isAccepted = true
  }

  #onError (visit: Visit, ref: number | null, code: string, message: string): void {
    this.counts.errors++
    const isBye = ['too-slow', 'unacknowledged', 'server-full', 'heartbeat-lost', 'replaced', 'draining', 'kicked', 'room-closed'].includes(code)
    if (ref === null) return isBye ? undefined : this.#fault(visit, `is told ${code} (${message})`)
    const saying = visit.said.find(one => one.cid === ref)
    const isOwnKind = code === 'not-permitted' && this.#isOwnKind(visit.seat, saying?.to)
    if (code !== 'peer-unavailable' && code !== 'signal-undelivered' && !isOwnKind) return this.#fault(visit, `is told ${code} (${message}) of ${ref}`)
    if (saying === undefined) return this.#fault(visit, `is told ${code} of ${ref}, which is long settled or no signal`)
    saying.errors.push(code)
    saying.undeliveredBefore = Math.min(saying.undeliveredBefore, this.#nextVisit)
    if (code !== 'signal-undelivered' && saying.heardBy.length > 0) this.#fault(visit, `is told ${code} of what was heard: ${this.#describe(saying)}`)
    const stayed = saying.witnesses.find(({ peer, isDoomed, isTroubled }) => peer.isIn && !isDoomed && !isTroubled)
    if (saying.to !== '*' && stayed !== undefined && !this.#needs.mayEndSessions) this.#fault(visit, `is told ${code} of ${this.#describe(saying)}, and ${this.#nameOf(stayed)} was there`)
  }

  #isOwnKind (seat: Seat, name: string | undefined): boolean {
    return this.seats.some(other => other.room === seat.room && other.name === name && !maySee(seat, other))
  }

  #onDelivered (visit: Visit, cid: number): void {
    for (const saying of visit.said) {
      if (saying.cid > cid) break
      // Of all: those of whom it is sure that the server has kept their sessions.
      const mustHaveHeard = saying.witnesses.filter(({ peer, isDoomed, isTroubled }) => peer.isIn && !isDoomed && !isTroubled && !this.#needs.mayEndSessions)
      if (saying.errors.length > 0 || (saying.to === '*' ? mustHaveHeard.every(witness => saying.heardBy.includes(witness)) : saying.heardBy.length > 0)) continue
      this.#fault(visit, `is told delivered ${cid}, but nobody has heard ${this.#describe(saying)}`)
    }
  }

  #onOver (visit: Visit, over: Over): void {
    const { seat, peer } = visit
    for (const text of peer.faults.splice(0)) this.#fault(visit, text)
    this.evictions.onOver(visit, over)
    // Of two that came at nearly the same time, the one that the server took last may have been welcomed first.
    if (seat.visit === visit) seat.visit = [...this.#visits].findLast(other => other.seat === seat && other.peer.isIn) ?? null
    const wasDoomed = visit.isDoomed || this.evictions.mayHaveHit(visit)
    visit.isDoomed = true
    if (over.why === 'gone') return
    if (over.why === 'closed') {
      if (!wasDoomed) this.#unlessReplaced(visit, `was closed with ${over.code}`)
      return
    }
    this.counts.refused++
    if (over.code === 'session-unknown') {
      this.counts.unknown++
      const awayMs = performance.now() - visit.aliveAt
      if (!wasDoomed && awayMs < this.#needs.graceMs && !this.#needs.mayEndSessions) this.#unlessReplaced(visit, `is unknown ${Math.round(awayMs)} ms after it was last in`)
    } else if (peer.welcome !== null || !['peer-id-taken', 'room-full', ...(visit.token.doubts > 0 ? ['token-invalid'] : [])].includes(over.code)) {
      this.#fault(visit, `was refused with ${over.status} ${over.code}`)
    }
  }

  /** Its end may be told before the welcome of who came in its place, and that may never be heard. */
  #unlessReplaced (visit: Visit, text: string): void {
    const mayBeReplaced = [...this.#visits].some(other => other.seat === visit.seat && other.number > visit.number)
    if (!mayBeReplaced) this.#fault(visit, text)
  }

  #fault (visit: Visit, text: string): void {
    this.faults.push(`${this.#nameOf(visit)} ${text}`)
  }

  #nameOf ({ seat, peer }: Visit): string {
    return `${seat.room}/${seat.name} (${peer.welcome?.session ?? 'no session'})`
  }

  #describe ({ id, from, to, cid, witnesses, errors, heardBy, isAccepted }: Saying): string {
    return `#${id} cid ${cid} ${from.seat.room}/${from.seat.name}>${to} [${isAccepted ? 'accepted' : 'open'}, witnesses ${witnesses.map(one => one.seat.name).join()}, heard ${heardBy.map(one => one.seat.name).join()}, errors ${errors.join()}]`
  }
}
