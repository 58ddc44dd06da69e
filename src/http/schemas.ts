/** Schemas that several routes answer with. */
import Type from 'typebox'

export const IceServerSchema = Type.Object({
  urls: Type.Array(Type.String()),
  username: Type.Optional(Type.String()),
  credential: Type.Optional(Type.String()),
}, { description: 'An RTCIceServer, as browsers take it.' })

export const ProblemSchema = Type.Object({
  type: Type.String({ description: 'urn:turnpike:error:<code>' }),
  title: Type.String(),
  status: Type.Integer(),
  detail: Type.String(),
  code: Type.String(),
  cure: Type.String(),
  instance: Type.String({ description: 'The id of this request, found again in the log.' }),
  errors: Type.Optional(Type.Array(Type.Object({ field: Type.String(), message: Type.String() }))),
}, { description: 'A problem document (RFC 9457).' })

/** The error answers of a route, for its schema. */
export function problems<S extends number> (...statuses: S[]): Record<S, typeof ProblemSchema> {
  return Object.fromEntries(statuses.map(status => [status, ProblemSchema])) as Record<S, typeof ProblemSchema>
}
