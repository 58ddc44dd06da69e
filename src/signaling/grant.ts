/** What a room token, or a project that needs none, lets a peer do. */
import type { PeerInfo, RoomKind } from '../protocol/frames.ts'

export type Permissions = { signal: boolean, update: boolean }
export type SignalGrant = Omit<PeerInfo, 'id'> & { project: string, room: string, peer: string, kind: RoomKind, capacity: number, takeover: boolean, permissions: Permissions, /** The API key that asked for the token, where one did. */ keyId: string | null, tokenId: string, /** What tells clients of the same name apart, where their protocol has such a thing: who holds the same takes over. */ heldBy?: string }
