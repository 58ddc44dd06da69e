/** Whose an allocation is, read off its TURN user name: `<expiry>:<project>.<user>.<key id>[.<room>]`, as credentials are issued. */

export type Owner = {
  project: string
  user: string
  /** The room that it was issued for, where it was for one; else empty. */
  room: string
  /** The API key that issued the credential, where one did. */
  keyId: string | null
  /** When the credential ends, unix seconds; null where the name does not tell. */
  expiresAtSeconds: number | null
}

const OURS = /^(\d{1,10}):([A-Za-z0-9_-]{1,64})\.([A-Za-z0-9_-]{1,64})\.(0|fixed|[0-9a-f]{12})(?:\.(~?[A-Za-z0-9_-]{1,200}))?$/
const NO_KEY = '0'

/**
 * The project `other` is that of names in another form, which programs with a secret of their own make up: coturn does not tell which
 * secret a name was signed with, so they are kept apart by what the name tells (`@user:host` of Matrix: the host) and are one otherwise.
 */
export function ownerOf (username: string): Owner {
  const [, expiry, project, user, keyId, room = ''] = OURS.exec(username) ?? []
  if (expiry !== undefined && project !== undefined && user !== undefined) return { project, user, room: roomIn(room), keyId: keyId === NO_KEY ? null : keyId ?? null, expiresAtSeconds: Number(expiry) }
  const [, otherExpiry, name = ''] = /^(\d{1,10})(?::(.*))?$/s.exec(username) ?? []
  const host = /^@[^:]+:([A-Za-z0-9.-]{1,64})$/.exec(name)?.[1]
  return { project: 'other', user: host?.replaceAll('.', '-') ?? '', room: '', keyId: null, expiresAtSeconds: otherExpiry === undefined ? null : Number(otherExpiry) }
}

/** A room whose id does not fit in a user name as it is stands there in base64url, after a ~ (credentials/rest-secret.ts). */
function roomIn (part: string): string {
  return part.startsWith('~') ? Buffer.from(part.slice(1), 'base64url').toString('utf8') : part
}
