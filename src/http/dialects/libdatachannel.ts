/**
 * Where clients of libdatachannel's signaling servers connect. They append their id to an address and can do no more, so what else
 * there is to say stands in the address before it:
 *   /ldc/<id>            with ?token=, or without one where the project default takes such clients (?project= names another)
 *   /ldc/<project>/<id>  without a token
 *   /t/<token>/<id>
 * The id is taken as it stands in the path, without decoding: it is compared with what the frames of others name.
 */
import type { FastifyRequest } from 'fastify'
import { grantFor, type Claim } from '../../joining.ts'
import { TurnpikeError } from '../../protocol/errors.ts'
import type { App } from '../app-type.ts'
import { takeOver, type SignalSocketNeeds } from '../websocket.ts'
import { listen } from '../ws-socket.ts'

const DIALECT = 'libdatachannel'
type Read = (before: string[], query: Query) => Omit<Claim, 'peer' | 'dialect'> | null
type Query = { token?: string, project?: string, room?: string }

/** By the first segment: what the segments between it and the id say; null where there is no such address. */
const ADDRESSES: Readonly<Record<string, Read>> = {
  ldc: ([project, ...more], query) => (more.length > 0 ? null : { token: query.token, project: project ?? query.project, room: query.room }),
  t: ([token, ...more]) => (token === undefined || more.length > 0 ? null : { token }),
}

export function libdatachannelSocket (app: App, needs: SignalSocketNeeds): void {
  for (const [first, read] of Object.entries(ADDRESSES)) {
    app.route({
      method: 'GET',
      // What is logged and counted of a request is this pattern, never the path, which can hold a token.
      url: `/${first}/*`,
      config: { access: 'public' },
      schema: { hide: true },
      preValidation: async (request, reply) => {
        if (!request.ws) throw new TurnpikeError('upgrade-required', 'the request is no WebSocket upgrade')
        const granted = grantFor({ ...claimOf(request, read), dialect: DIALECT }, request, needs)
        // These clients cannot resume, and one whose network has changed is back before its old socket is known to be dead.
        const grant = { ...granted, heldBy: `${DIALECT} ${granted.tokenId}` }
        needs.signaling.admit(grant, request.ip)
        request.joining = { beginning: { grant, ack: null }, answer: reply.raw }
      },
      handler: async () => { throw new TurnpikeError('upgrade-required', 'the request is no WebSocket upgrade') },
      wsHandler: (ws, request) => {
        const { joining, ip } = request
        if (joining === null || !('grant' in joining.beginning)) return ws.terminate()
        const socket = takeOver(ws, request, joining.answer)
        listen(ws, needs.signaling.attach(socket, joining.beginning.grant, ip, { spoken: DIALECT, ack: null }))
      },
    })
  }
}

/** Throws not-found. */
function claimOf (request: FastifyRequest, read: Read): Claim {
  const [, , ...segments] = (request.raw.url ?? '').replace(/\?.*$/s, '').split('/')
  const peer = segments.pop() ?? ''
  const claim = peer === '' || segments.includes('') ? null : read(segments, request.query as Query)
  // Without the path: it can hold a token.
  if (claim === null) throw new TurnpikeError('not-found', 'the address ends with the id of the peer, and has one part before it at most')
  return { ...claim, peer }
}
