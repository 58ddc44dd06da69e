/** The address of the signaling socket, as the one who asks reaches this server. */
import type { FastifyRequest } from 'fastify'

/** wss where the request came over https, by this server's or a trusted proxy's word. */
export function signalUrl ({ protocol, host }: Pick<FastifyRequest, 'protocol' | 'host'>): string {
  return `${protocol === 'https' ? 'wss' : 'ws'}://${host}/v1/signal`
}
