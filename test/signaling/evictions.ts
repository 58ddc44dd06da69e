/**
 * What the model knows of administrators: they send one peer out of a room, or everybody. While a call is under way nobody knows
 * whom it will hit; once it is answered, every session that was there before it was made has ended, one way or the other.
 */
import type { ServerFrame } from '../../src/protocol/frames.ts'
import { ResumingPeer, type Over } from '../kit/resuming-peer.ts'
import { maySee, type Place, type Seat, type Token, type Visit } from './visits.ts'

/** What an administrator does, over HTTP. */
export type Desk = {
  /** Where clients connect to without a cable. */
  readonly url: string
  kick (place: Place): Promise<{ status: number, body: Record<string, unknown> }>
  close (room: string): Promise<{ status: number, body: Record<string, unknown> }>
  tokenFor (place: Place, takesOver: boolean): Promise<Token>
}
export type EvictionsNeeds = {
  desk: Desk
  visits: ReadonlySet<Visit>
  /** The id that the next saying will have. */
  nextId: () => number
  nameOf: (visit: Visit) => string
  fault: (text: string) => void
  join: (seat: Seat, mustComeIn: boolean) => void
}

type Kind = 'kicked' | 'closed'
type Eviction = {
  readonly kind: Kind
  readonly what: string
  readonly seats: readonly Seat[]
  /** Who was welcomed and not over when it was asked for. */
  readonly there: readonly Visit[]
  /** Who else it may hit: on the way then or since, or gone without the server having noticed. */
  readonly others: Visit[]
  /** What it may revoke. */
  readonly tokens: Set<Token>
  /** Who sees the one who is there, and how many kicks under its name they have been told of. */
  readonly onlookers: Map<Visit, number>
  isAnswered: boolean
  isDone: boolean
  /** Whom it hit, where that is certain. */
  hit: Visit | null
  /** Settled so many times since. */
  age: number
}

const CODES = { kicked: { bye: 'kicked', close: 4003 }, closed: { bye: 'room-closed', close: 4004 } } as const

export class Evictions {
  readonly counts = { kicked: 0, closed: 0, evicted: 0, keptOut: 0, nobodyThere: 0 }
  readonly #needs: EvictionsNeeds
  #evictions: Eviction[] = []
  /** Clients with a token that lets nobody in any more. */
  readonly #keptOut = new Set<ResumingPeer>()
  /** Visits below this one were there when all was settled: everybody knows of them. */
  #settledVisit = 0

  constructor (needs: EvictionsNeeds) {
    this.#needs = needs
  }

  /** Sends who has this seat out. `comesBack`: somebody takes it at once, with a new token. */
  async kick (seat: Seat, comesBack: boolean): Promise<void> {
    const eviction = this.#begin('kicked', `the kick of ${seat.room}/${seat.name}`, [seat])
    const { status, body } = await this.#needs.desk.kick(seat)
    this.#answered(eviction, status)
    if (status === 200) {
      this.counts.kicked++
      if (body['tokenRevoked'] !== true) this.#needs.fault(`${eviction.what} has revoked no token`)
      if (eviction.hit !== null) this.#tryInVain(eviction.hit)
      await this.#replaceTokens(seat)
      if (comesBack) this.#comeBack(eviction, seat)
    }
    eviction.isDone = true
  }

  /** Sends everybody out of the room of these seats. `comeBack`: all seats are taken at once, with the same tokens. */
  async close (seats: readonly Seat[], comeBack: boolean): Promise<void> {
    const room = seats[0]?.room ?? ''
    const eviction = this.#begin('closed', `the end of ${room}`, seats)
    const { status } = await this.#needs.desk.close(room)
    this.#answered(eviction, status)
    if (status === 200) this.counts.closed++
    if (status === 200 && comeBack) for (const seat of seats) this.#comeBack(eviction, seat)
    eviction.isDone = true
  }

  /** Somebody is on the way to a seat. */
  onJoin (visit: Visit): void {
    for (const other of this.#needs.visits) if (other !== visit && other.seat === visit.seat) other.mustComeIn = false
    for (const eviction of this.#evictions) if (!eviction.isAnswered && eviction.seats.includes(visit.seat)) this.#mayHit(eviction, visit)
  }

  /** May it have been hit without being known for it? */
  mayHaveHit (visit: Visit): boolean {
    return this.#evictions.some(({ there, others }) => there.includes(visit) || others.includes(visit))
  }

  onFrame (visit: Visit, frame: ServerFrame): void {
    if (frame.type === 'error' && frame.ref === null) {
      visit.bye = frame.code
      if (frame.code === 'kicked' || frame.code === 'room-closed') this.#requireCause(visit, frame.code === 'kicked' ? 'kicked' : 'closed')
    }
    if (frame.type === 'welcome' && visit.ended !== null && visit.attempt.attemptedAt > visit.ended.atMs) this.#needs.fault(`${this.#needs.nameOf(visit)} is welcomed after an administrator has ended its session`)
    if (frame.type === 'peer-left') this.#onLeft(visit, frame.id, frame.reason)
    if (frame.type === 'presence') for (const { id, reason } of frame.left) this.#onLeft(visit, id, reason)
  }

  onOver (visit: Visit, over: Over): void {
    if (over.why === 'closed' && (over.code === 4003 || over.code === 4004)) {
      const kind = over.code === 4003 ? 'kicked' : 'closed'
      this.counts.evicted++
      this.#requireCause(visit, kind)
      if (visit.bye !== CODES[kind].bye) this.#needs.fault(`${this.#needs.nameOf(visit)} was closed with ${over.code}, and told '${visit.bye}' before`)
    }
    if (over.why === 'refused' && visit.mustComeIn && visit.attempt.attempts === 1 && !visit.isTroubled && !visit.isDoomed && over.code === 'peer-id-taken') this.#needs.fault(`${this.#needs.nameOf(visit)} was told that its seat is taken, though who had it was sent away`)
  }

  unsettled (): string[] {
    const wrong = [...this.#keptOut].filter(({ over }) => over === null).map(() => 'somebody with a revoked token was not answered')
    for (const eviction of this.#evictions) {
      const { what, isDone, there, hit, onlookers } = eviction
      if (!isDone) wrong.push(`${what} is not done`)
      else wrong.push(...there.filter(({ peer }) => peer.over === null).map(visit => `${this.#needs.nameOf(visit)} is in after ${what}`))
      if (hit === null) continue
      if (hit.peer.over?.why === 'closed' && hit.peer.over.code !== CODES.kicked.close) wrong.push(`${this.#needs.nameOf(hit)} was closed with ${hit.peer.over.code} by ${what}`)
      for (const [onlooker, before] of onlookers) if (onlooker.peer.over === null && this.#kicksSeen(onlooker, hit.seat.name) <= before) wrong.push(`${this.#needs.nameOf(onlooker)} was not told of ${what}`)
    }
    return wrong
  }

  forget (nextVisit: number): void {
    this.#settledVisit = nextVisit
    for (const eviction of this.#evictions) {
      eviction.age++
      eviction.onlookers.clear()
    }
    this.#evictions = this.#evictions.filter(({ age }) => age < 2)
    this.#keptOut.clear()
  }

  #begin (kind: Kind, what: string, seats: readonly Seat[]): Eviction {
    const near = [...this.#needs.visits].filter(({ seat }) => seats.includes(seat))
    const there = near.filter(({ peer }) => peer.welcome !== null && peer.over === null)
    const eviction: Eviction = { kind, what, seats, there, others: [], tokens: new Set(), onlookers: new Map(), isAnswered: false, isDone: false, hit: null, age: 0 }
    this.#evictions.push(eviction)
    for (const visit of near) if (!there.includes(visit) && (visit.peer.over === null || isGhost(visit))) this.#mayHit(eviction, visit)
    for (const visit of there) this.#doom(eviction, visit)
    for (const { tokens: { plain, takeover } } of seats) for (const token of [plain, takeover]) doubt(eviction, token)
    const [visit] = there
    if (visit !== undefined && visit.number < this.#settledVisit) this.#lookOn(eviction, visit)
    return eviction
  }

  #lookOn ({ onlookers }: Eviction, { seat }: Visit): void {
    for (const other of this.#needs.visits) if (maySee(other.seat, seat) && other.peer.isIn && other.peer.view.has(seat.name)) onlookers.set(other, this.#kicksSeen(other, seat.name))
  }

  #mayHit (eviction: Eviction, visit: Visit): void {
    eviction.others.push(visit)
    this.#doom(eviction, visit)
  }

  #doom (eviction: Eviction, visit: Visit): void {
    visit.isDoomed = true
    doubt(eviction, visit.token)
  }

  #answered (eviction: Eviction, status: number): void {
    const { kind, what, there, others, tokens } = eviction
    eviction.isAnswered = true
    if (status === 404) this.counts.nobodyThere++
    else if (status !== 200) this.#needs.fault(`${what} was answered with ${status}`)
    for (const visit of there) visit.ended ??= { id: this.#needs.nextId(), atMs: performance.now() }
    const [only] = there
    if (kind === 'kicked' && status === 200 && only !== undefined && there.length === 1 && others.length === 0) eviction.hit = only
    // Where nobody was there it hit one that has vanished; alone in its room, nobody saw it go, and it may be forgotten here.
    const hit = there.length === 0 ? tokens : new Set([...there, ...others].map(({ token }) => token))
    for (const token of tokens) if (kind !== 'kicked' || status !== 200 || !hit.has(token)) token.doubts--
  }

  /** The token of who was kicked lets nobody in. */
  #tryInVain ({ seat, token }: Visit): void {
    const name = `${seat.room}/${seat.name}`
    const peer: ResumingPeer = new ResumingPeer({
      url: () => this.#needs.desk.url,
      token: token.text,
      onFrame: ({ type }) => {
        this.#needs.fault(`${type}: the token with which ${name} was kicked lets somebody in`)
        peer.vanish()
      },
      onOver: over => {
        this.counts.keptOut++
        if (over.why !== 'refused' || over.code !== 'token-invalid') this.#needs.fault(`the token with which ${name} was kicked is answered with ${JSON.stringify(over)}`)
      },
    })
    this.#keptOut.add(peer)
  }

  async #replaceTokens (seat: Seat): Promise<void> {
    const { plain, takeover } = seat.tokens
    const fresh = async (token: Token): Promise<Token> => (token.doubts > 0 ? await this.#needs.desk.tokenFor(seat, token.takesOver) : token)
    seat.tokens = { plain: await fresh(plain), takeover: await fresh(takeover) }
  }

  #comeBack ({ there }: Eviction, seat: Seat): void {
    const isFree = [...this.#needs.visits].every(visit => visit.seat !== seat || there.includes(visit) || (visit.peer.over !== null && !isGhost(visit)))
    this.#needs.join(seat, isFree)
  }

  #requireCause (visit: Visit, kind: Kind): void {
    if (!this.#evictions.some(({ kind: of, there, others }) => of === kind && (there.includes(visit) || others.includes(visit)))) this.#needs.fault(`${this.#needs.nameOf(visit)} was ${kind} by nobody`)
  }

  #onLeft (visit: Visit, id: string, reason: string): void {
    if (reason !== 'kicked' && reason !== 'closed') return
    if (reason === 'kicked') visit.kicksSeen.set(id, this.#kicksSeen(visit, id) + 1)
    if (!this.#evictions.some(({ kind, seats }) => kind === reason && seats.some(({ room, name }) => room === visit.seat.room && name === id))) this.#needs.fault(`${this.#needs.nameOf(visit)} is told that ${id} was ${reason}, and nobody did that`)
  }

  #kicksSeen ({ kicksSeen }: Visit, id: string): number {
    return kicksSeen.get(id) ?? 0
  }
}

/** The server may still have, or get, a session of it, though its client is no more. */
function isGhost ({ peer: { over, welcome }, attempt: { attempts } }: Visit): boolean {
  return over?.why === 'gone' || (over?.why === 'refused' && welcome === null && attempts > 1)
}

function doubt ({ kind, tokens }: Eviction, token: Token): void {
  if (kind !== 'kicked' || tokens.has(token)) return
  tokens.add(token)
  token.doubts++
}
