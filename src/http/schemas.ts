/** Schemas that several routes answer with, and the errors of a route for its description. */
import Type, { type TSchema } from 'typebox'
import { errorEntry, type ErrorCode } from '../protocol/errors.ts'

export const IceServerSchema = Type.Object({
  urls: Type.Array(Type.String()),
  username: Type.Optional(Type.String()),
  credential: Type.Optional(Type.String()),
}, { description: 'An RTCIceServer, as browsers take it.' })

export const PROBLEM_SCHEMA = Type.Object({
  type: Type.String({ description: 'urn:turnpike:error:<code>' }),
  title: Type.String(),
  status: Type.Integer(),
  detail: Type.String(),
  code: Type.String(),
  cure: Type.String(),
  instance: Type.String({ description: 'The id of this request, found again in the log.' }),
  errors: Type.Optional(Type.Array(Type.Object({ field: Type.String(), message: Type.String() }))),
}, { $id: 'Problem', additionalProperties: true, description: 'A problem document (RFC 9457).' })

export const ProjectQuery = { project: Type.Optional(Type.String({ maxLength: 64, description: 'Which project, for admin keys; default where it is not given.' })) }
export const UnixSeconds = Type.Integer({ description: 'Unix seconds.' })

/** What every route with a key may answer. */
const ALWAYS: readonly ErrorCode[] = ['unauthorized', 'forbidden', 'too-many-requests']
/** What a route with a body may answer. */
export const WITH_BODY: readonly ErrorCode[] = ['invalid-request', 'invalid-json', 'body-too-large', 'unsupported-media-type']

/** The error answers of a route that needs a key, by status, each with its codes and an example. */
export function problems (...codes: (ErrorCode | readonly ErrorCode[])[]): Record<number, TSchema> {
  return publicProblems(...ALWAYS, ...codes)
}

/** The same for a route that needs none. */
export function publicProblems (...codes: (ErrorCode | readonly ErrorCode[])[]): Record<number, TSchema> {
  const byStatus = Map.groupBy(new Set(codes.flat()), code => errorEntry(code).status)
  return Object.fromEntries([...byStatus].map(([status, these]) => [status, {
    description: these.map(code => `${code}: ${errorEntry(code).title}.`).join(' '),
    content: { 'application/problem+json': { schema: { $ref: 'Problem#' }, examples: Object.fromEntries(these.map(code => [code, { value: exampleOf(code) }])) } },
  } as unknown as TSchema]))
}

/** The same answers under the type that clients of an API of somebody else insist on. */
export function asPlainJson (answers: Record<number, TSchema>): Record<number, TSchema> {
  const entries = Object.entries(answers) as unknown as [string, { content: Record<string, object> }][]
  return Object.fromEntries(entries.map(([status, answer]) => [status, { ...answer, content: { 'application/json': { ...answer.content['application/problem+json'] } } }])) as unknown as Record<number, TSchema>
}

function exampleOf (code: ErrorCode): object {
  const { title, status, cure } = errorEntry(code)
  return { type: `urn:turnpike:error:${code}`, title, status, detail: 'What was wrong with this very request.', code, cure, instance: 'Jq1yH8xYc0aP' }
}
