/** Who may look at a topic and be listed in it: an API key like whoever may issue room tokens; a room token as far as its peer goes. */
import type { FastifyRequest } from 'fastify'
import type { Access, Grant } from '../access/access.ts'
import { isTurnpikeError, TurnpikeError } from '../protocol/errors.ts'
import { EVERYONE, type TopicRole } from '../protocol/frames.ts'
import { projectOf } from './authenticate.ts'

export type TopicAccess = Pick<Access, 'checkRoomToken' | 'callerFor' | 'isKeyAlive'> & { projects: Pick<Access['projects'], 'get'> }
/** `keyId`: the key that asked for the token, where there is one. */
export type Viewer = Pick<Grant, 'project' | 'keyId'>
type Asked = Pick<FastifyRequest, 'caller' | 'headers' | 'query'>

/** Three parts with dots between them: no key looks like that. */
const TOKEN = /^Bearer +([\w-]+\.[\w-]+\.[\w-]+)$/i

/** Is it a room token that stands where the key would? */
export function isRoomToken ({ headers: { authorization = '' } }: Pick<FastifyRequest, 'headers'>): boolean {
  return TOKEN.test(authorization)
}

/** Who may look at a topic, in which project. With a room token one sees what its peer would see: those of the other role. */
export function viewerOf (request: Asked, { topic, role }: { topic: string, role: TopicRole }, access: TopicAccess): Viewer {
  if (!isRoomToken(request)) return { project: projectOf(request.caller, projectIn(request)), keyId: null }
  const grant = grantIn(request, topic, access)
  if (grant.role === role) throw new TurnpikeError('not-permitted', `a ${role} sees the others' kind alone, as in the room`)
  return grant
}

/** The project in whose topic this peer may be listed. A room token is for its own peer, in its own role. */
export function registrarOf (request: Asked, { topic, role, peer, setsMetadata }: { topic: string, role: TopicRole, peer: string, setsMetadata: boolean }, access: TopicAccess): string {
  if (!isRoomToken(request)) return projectOf(request.caller, projectIn(request))
  const grant = grantIn(request, topic, access)
  if (grant.role !== role) throw new TurnpikeError('not-permitted', `the token is for a ${grant.role}`)
  if (grant.peer !== EVERYONE && grant.peer !== peer) throw new TurnpikeError('not-permitted', 'the token is for another peer')
  if (setsMetadata && !grant.permissions.update) throw new TurnpikeError('not-permitted', 'the token does not permit updates')
  return grant.project
}

/** May who began to watch go on? Like a peer in a room, it may stay when its token has expired; not when it, its key or its project is gone. */
export function mayGoOn (request: Asked, { project, keyId }: Viewer, access: TopicAccess): boolean {
  try {
    if (isRoomToken(request)) access.checkRoomToken(tokenIn(request))
    else access.callerFor(request.headers.authorization)
  } catch (error) {
    if (!isTurnpikeError(error) || error.code !== 'token-expired') return false
  }
  return access.projects.get(project)?.settings.enabled === true && (keyId === null || access.isKeyAlive(keyId))
}

function grantIn (request: Asked, topic: string, access: TopicAccess): Grant {
  const grant = access.checkRoomToken(tokenIn(request))
  if (grant.room !== topic || grant.kind !== 'topic') throw new TurnpikeError('room-mismatch', 'the token is for another room, or for one that is no topic')
  return grant
}

function tokenIn ({ headers: { authorization = '' } }: Pick<FastifyRequest, 'headers'>): string {
  return TOKEN.exec(authorization)?.[1] ?? ''
}

function projectIn ({ query }: Pick<FastifyRequest, 'query'>): string | undefined {
  return (query as { project?: string }).project
}
