/**
 * THE table of the events that a project's webhook is told: when each is sent and what its body holds. The types of what is announced,
 * the values of the setting `webhookEvents` and the list in docs/webhooks.md are made from it.
 */
import { LEAVE_REASONS, ROOM_KINDS } from './frames.ts'

type Field = { type: 'string' | 'integer', about: string, example: string | number, /** What it may be, where that is few. */ values?: readonly string[], nullable?: true }
type EventEntry = { when: string, fields: Readonly<Record<string, Field>> }

const ROOM = { type: 'string', about: 'The room.', example: 'lobby' } as const
const KIND = { type: 'string', about: 'The kind of the room.', example: 'mesh', values: ROOM_KINDS } as const
const PEER = { type: 'string', about: 'The id of the peer.', example: 'alice' } as const
const SESSION = { type: 'string', about: 'The session: the same in peer.joined and peer.left of one presence.', example: 's_Jq1yH8xYc0aP' } as const
const QUOTA = {
  quota: { type: 'string', about: 'bytesPerDay or bytesPerMonth.', example: 'bytesPerDay' },
  limit: { type: 'integer', about: 'Bytes that may be used.', example: 1_000_000_000 },
  used: { type: 'integer', about: 'Bytes that are used.', example: 803_000_000 },
  period: { type: 'string', about: 'The day or month (UTC).', example: '2026-11-21' },
  resetsAt: { type: 'integer', about: 'When it ends; Unix seconds.', example: 1795305600 },
  action: { type: 'string', about: 'The quotaAction of the project.', example: 'disable', values: ['disable', 'notify'] },
} as const

export const EVENTS = {
  'quota.warning': { when: '80 % of a byte quota are used: once in its period, and again where the quota is changed.', fields: QUOTA },
  'quota.exceeded': { when: 'A byte quota is used up: once in its period, and again where the quota is changed.', fields: { ...QUOTA, used: { ...QUOTA.used, example: 1_000_200_000 } } },
  'room.started': { when: 'The first peer joined a room.', fields: { room: ROOM, kind: KIND } },
  'room.ended': { when: 'The last peer of a room is gone.', fields: { room: ROOM, kind: KIND } },
  'peer.joined': { when: 'A peer joined a room.', fields: { room: ROOM, peer: PEER, role: { type: 'string', about: 'The role in its token; null where it has none.', example: 'host', nullable: true }, session: SESSION } },
  'peer.left': { when: 'A peer is gone from a room.', fields: { room: ROOM, peer: PEER, reason: { type: 'string', about: 'Why.', example: 'left', values: LEAVE_REASONS }, session: SESSION } },
  'peer.kicked': { when: 'A peer was sent out of a room; its peer.left follows.', fields: { room: ROOM, peer: PEER, by: { type: 'string', about: 'Who did it.', example: 'key:0123456789ab' } } },
} as const satisfies Record<string, EventEntry>

export type EventType = keyof typeof EVENTS
type ValueOf<F> = (F extends { values: readonly (infer V)[] } ? V : F extends { type: 'integer' } ? number : string) | (F extends { nullable: true } ? null : never)
/** What is told of an event of a type, beside what every event has. */
export type EventFields<T extends EventType> = { [N in keyof typeof EVENTS[T]['fields']]: ValueOf<typeof EVENTS[T]['fields'][N]> }

export const EVENT_TYPES = Object.keys(EVENTS) as readonly EventType[]

/** Every event with its fields readable, for those who write about it. */
export function eventEntry (type: EventType): EventEntry {
  return EVENTS[type]
}
