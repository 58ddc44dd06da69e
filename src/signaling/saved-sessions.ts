/** Sessions over the end of a process: written down when it ends in good order, taken up by the next one. */
import type { Log } from '../lifecycle.ts'
import type { Store } from '../store/store.ts'
import type { PeerInfo } from '../protocol/frames.ts'
import { deleteSavedSession, deleteSavedSessions, savedSessions, saveSession } from './records.ts'
import type { SignalGrant } from './grant.ts'
import type { SessionState } from './outbox.ts'
import type { Mail, Session } from './session.ts'

export type SavedMail = Pick<Mail, 'to' | 'signal' | 'ref'>
export type SavedSession = { grant: SignalGrant, info: PeerInfo, joinedAs: number, state: SessionState, mail: SavedMail[], since: number, credentialsUntil: number }

/** Whoever was away for longer has given up. */
const LONGEST_PAUSE_SECONDS = 3600

/** Writes down what can be taken up again. What cannot be written is lost, and said. */
export function saveSessions (store: Store, sessions: Iterable<Session>, nowSeconds: number, log: Log): void {
  const saved = [...sessions].filter(session => session.canResume)
  if (saved.length === 0) return
  try {
    store.transaction(() => {
      for (const session of saved) {
        const mail = [...session.room?.mailbox ?? []].filter(({ from }) => from === session).map(({ to, signal, ref }) => ({ to, signal, ref }))
        const state: SavedSession = { grant: session.grant, info: session.info, joinedAs: session.joinedAs, state: session.state(), mail, since: session.sinceSeconds, credentialsUntil: session.credentialsUntil }
        saveSession(store, session.id, nowSeconds, JSON.stringify(state))
      }
    })
    log.info({ sessions: saved.length }, 'signaling sessions are written down for the next start')
  } catch (error) {
    log.error({ sessions: saved.length, reason: (error as Error).message }, 'signaling sessions could not be written down: their peers join anew')
  }
}

/** One has ended after it was written down: it was kicked, or its room closed. */
export function forgetSavedSession (store: Store, id: string, log: Log): void {
  try {
    deleteSavedSession(store, id)
  } catch (error) {
    log.error({ session: id, reason: (error as Error).message }, 'a signaling session that has ended could not be taken back from the next start')
  }
}

/** What the process before has left, oldest member first; each is taken up once. */
export function takeSavedSessions (store: Store, nowSeconds: number): (SavedSession & { id: string })[] {
  const rows = savedSessions(store)
  if (rows.length > 0) deleteSavedSessions(store)
  return rows
    .filter(({ savedAt }) => nowSeconds - savedAt <= LONGEST_PAUSE_SECONDS)
    .map(({ id, state }) => ({ id, ...JSON.parse(state) as SavedSession }))
    .sort((a, b) => a.joinedAs - b.joinedAs)
}
