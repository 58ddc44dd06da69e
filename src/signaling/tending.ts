/** What time does to sessions, looked at once a second: pings, sockets that are silent, places that are given up, ICE servers that age, mail that nobody came for. */
import type { Metrics } from '../metrics/metrics.ts'
import { closeCodeOf, type ErrorCode } from '../protocol/errors.ts'
import type { IceServer } from '../protocol/frames.ts'
import type { Carrier } from './carrier.ts'
import type { Room } from './room.ts'
import type { Session } from './session.ts'

export type IssuedIce = { iceServers: IceServer[], expiresAtSeconds: number }
export type TendingNeeds = {
  heartbeatSeconds: number
  graceSeconds: number
  sessions: ReadonlyMap<string, Session>
  rooms: Iterable<Room>
  carrier: Pick<Carrier, 'returnMail'>
  metrics: Pick<Metrics, 'observe'>
  nowSeconds: () => number
  countError (code: ErrorCode): void
  /** What lives in a project that is switched off is ended. */
  isEnabled: (project: string) => boolean
  iceServersFor: (session: Session) => IssuedIce | null
}

/** In a second: a room of thousands is not renewed at once. */
const MOST_RENEWALS = 1000
/** Silent for so many heartbeats is gone: with a heartbeat of 10 s and one look a second, a half-open socket is found 21 s after its last word. */
const SILENT_HEARTBEATS = 2
/** Of their life ICE servers are used for so much. */
const LIFE_USED = 0.75

export class Tending {
  readonly #needs: TendingNeeds
  /** Who is to be given new ICE servers before its time. */
  readonly #renewals = new Set<Session>()

  constructor (needs: TendingNeeds) {
    this.#needs = needs
  }

  renewAll (): void {
    for (const session of this.#needs.sessions.values()) this.#renewals.add(session)
  }

  forget (session: Session): void {
    this.#renewals.delete(session)
  }

  /** Fresh ICE servers, or null while there are none. */
  issueIce (session: Session): IssuedIce | null {
    const ice = this.#needs.iceServersFor(session)
    session.iceExpiresAt = ice?.expiresAtSeconds ?? null
    session.credentialsUntil = Math.max(session.credentialsUntil, ice?.expiresAtSeconds ?? 0)
    session.iceIssuedAt = this.#needs.nowSeconds()
    this.#renewals.delete(session)
    return ice
  }

  /** The other side has answered a ping. */
  heard (session: Session): void {
    const nowMs = performance.now()
    if (session.pingedAtMs !== null) {
      session.roundTripMs = Math.round((nowMs - session.pingedAtMs) * 10) / 10
      this.#needs.metrics.observe('turnpike_signaling_round_trip_seconds', {}, (nowMs - session.pingedAtMs) / 1000)
    }
    session.pingedAtMs = null
    session.lastHeardMs = nowMs
  }

  /** Once a second. */
  look (): void {
    const nowMs = performance.now()
    const nowSeconds = this.#needs.nowSeconds()
    let renewals = 0
    const enabled = new Map<string, boolean>()
    for (const session of [...this.#needs.sessions.values()]) {
      const { project } = session
      if (!enabled.has(project)) enabled.set(project, this.#needs.isEnabled(project))
      if (enabled.get(project) === false) {
        session.endWith('project-disabled', `the project ${project} is switched off`)
        continue
      }
      if (session.detachedAtMs !== null) {
        if (nowMs - session.detachedAtMs >= this.#needs.graceSeconds * 1000) session.end(closeCodeOf('heartbeat-lost'), 'lost')
        continue
      }
      this.#tendSocket(session, nowMs)
      if (session.socket === null) continue
      session.recount()
      const delivered = session.receipts.takeNews()
      if (delivered !== null) session.tell({ type: 'delivered', cid: delivered })
      if (this.#isIceDue(session, nowSeconds, renewals < MOST_RENEWALS)) renewals += this.#renewIce(session)
    }
    for (const room of this.#needs.rooms) this.#needs.carrier.returnMail(room.mailbox.takeExpired(nowMs))
  }

  #tendSocket (session: Session, nowMs: number): void {
    const heartbeatMs = this.#needs.heartbeatSeconds * 1000
    const silentMs = nowMs - session.lastHeardMs
    if (session.pingedAtMs !== null && silentMs >= SILENT_HEARTBEATS * heartbeatMs) {
      this.#needs.countError('heartbeat-lost')
      session.dropSocket(closeCodeOf('heartbeat-lost'))
    } else if (session.pingedAtMs === null && nowMs - session.lastPingMs >= heartbeatMs) {
      session.pingedAtMs = nowMs
      session.lastPingMs = nowMs
      session.socket?.ping()
    }
  }

  #isIceDue (session: Session, nowSeconds: number, isRoom: boolean): boolean {
    const { iceExpiresAt, iceIssuedAt } = session
    return (isRoom && this.#renewals.has(session)) || iceExpiresAt === null || nowSeconds >= iceIssuedAt + (iceExpiresAt - iceIssuedAt) * LIFE_USED
  }

  #renewIce (session: Session): 0 | 1 {
    const wasAsked = this.#renewals.has(session) ? 1 : 0
    const ice = this.issueIce(session)
    if (ice !== null) session.tell({ type: 'ice-servers', iceServers: ice.iceServers, iceExpiresAt: ice.expiresAtSeconds })
    return wasAsked
  }
}
