/** The SDK for browsers and Node.js: joins a room (docs/signaling.md), stays in it, and connects to its peers. docs/sdk.md tells how. */
import type { JoinOptions, Room } from './api.ts'
import { JoinedRoom } from './room.ts'

export type * from './api.ts'
export type { IceServer, Metadata, PeerInfo, PeerView } from '../protocol/frames.ts'
export type { ClientErrorCode } from './client-error.ts'
export type { Path } from './stats-in-words.ts'
export { TurnpikeClientError } from './client-error.ts'

/** Connects and resolves when the server has welcomed us. Rejects with a TurnpikeClientError. */
export async function join (options: JoinOptions): Promise<Room> {
  return await new Promise((resolve, reject) => {
    const room = new JoinedRoom(options, error => error === null ? resolve(room) : reject(error))
  })
}
