/** What the APIs of others have in common: is it switched on, who is the user, which transports. */
import { createHash } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import type { Access } from '../../access/access.ts'
import type { CredentialRequest, Credentials, IssuedCredential } from '../../credentials/credentials.ts'
import { isTurnpikeError, TurnpikeError } from '../../protocol/errors.ts'
import { TRANSPORTS, type FormName, type IceTransport } from '../../protocol/project-settings.ts'
import { keyIdOf, projectOf } from '../authenticate.ts'

export type FormNeeds = { access: Pick<Access, 'projects' | 'change'>, credentials: Pick<Credentials, 'issue' | 'revoke' | 'reasonToCut' | 'isOurs' | 'urls'>, nowSeconds: () => number }
export type FormRequest = Pick<CredentialRequest, 'ttlSeconds' | 'policy' | 'transports' | 'region'> & { /** Whatever the program calls its user. */ user?: string | undefined }

/** Issues for the caller's project. Throws form-off where the project does not answer this API. */
export function issueIn (form: FormName, request: FastifyRequest, { access, credentials }: FormNeeds, { user, ...options }: FormRequest, ttlField = 'ttl'): IssuedCredential {
  const project = requireForm(form, request, access)
  const { caller } = request
  const isPage = caller?.kind === 'project' && caller.publishable
  try {
    return credentials.issue({ project, keyId: keyIdOf(caller), ...options, user: user === undefined || user === '' || isPage ? undefined : opaqueUser(user) })
  } catch (error) {
    throw isTurnpikeError(error) && ttlField !== 'ttl' ? inFieldsOf(error, ttlField) : error
  }
}

/** A fault is told under the name that the program gave its field. */
function inFieldsOf (error: TurnpikeError, ttlField: string): TurnpikeError {
  const renamed = (text: string): string => text.replace(/\bttl\b/g, ttlField)
  return new TurnpikeError(error.code, renamed(error.message), { cause: error, fields: error.fields.map(({ field, message }) => ({ field: renamed(field), message })), ...(error.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: error.retryAfterSeconds }) })
}

export function requireForm (form: FormName, { caller }: Pick<FastifyRequest, 'caller'>, access: Pick<Access, 'projects'>): string {
  return requireFormOf(projectOf(caller, undefined), form, access)
}

/** Throws form-off, or not-found. */
export function requireFormOf (project: string, form: FormName, access: Pick<Access, 'projects'>): string {
  if (!access.projects.require(project).settings.forms.includes(form)) throw new TurnpikeError('form-off', `the project ${project} has not ${form} among its forms`)
  return project
}

/** Names that coturn and our books do not take become an id that is always the same for the same name, and does not tell it. */
export function opaqueUser (name: string): string {
  return /^[A-Za-z0-9_-]{1,64}$/.test(name) ? name : `u_${createHash('sha256').update(name).digest('base64url').slice(0, 22)}`
}

/** One value out of a query or a form, where programs send a field once, twice or not at all. */
export function valueOf (source: unknown, name: string): string | undefined {
  const value = typeof source === 'object' && source !== null ? (source as Record<string, unknown>)[name] : undefined
  const first: unknown = Array.isArray(value) ? value[0] : value
  return typeof first === 'string' && first !== '' ? first : typeof first === 'number' ? String(first) : undefined
}

/** Throws invalid-request under the name that the program gave it. */
export function secondsOf (text: string | undefined, field: string): number | undefined {
  if (text === undefined) return undefined
  if (!/^\d{1,9}$/.test(text)) throw new TurnpikeError('invalid-request', `${field} must be a whole number of seconds`, { fields: [{ field, message: 'must be a whole number of seconds' }] })
  return Number(text)
}

/** `?transport=udp,tls`. Throws invalid-request. */
export function transportsOf (text: string | undefined): IceTransport[] | undefined {
  if (text === undefined) return undefined
  const named = text.split(',')
  const known = TRANSPORTS.filter(transport => named.includes(transport))
  if (known.length !== named.length) throw new TurnpikeError('invalid-request', `transport must be of ${TRANSPORTS.join(', ')}`, { fields: [{ field: 'transport', message: `must be of ${TRANSPORTS.join(', ')}` }] })
  return known
}

/** The key in the query, as these APIs have it; in the header where it is not there. */
export function keyInQuery (...names: string[]): (request: FastifyRequest) => string | undefined {
  return ({ query }) => names.map(name => valueOf(query, name)).find(key => key !== undefined)
}
