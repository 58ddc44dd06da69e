/** Peers for the signaling benchmarks: connected to either of the two servers. */
import WebSocket from 'ws'

export type Server = { url: string, tokens: string[] }

/** Connects a peer and waits for its welcome. */
export async function connectPeer ({ url, tokens }: Server, index: number, isOurs: boolean): Promise<WebSocket> {
  const token = tokens[index] ?? ''
  const socket = isOurs
    ? new WebSocket(url, ['turnpike.v1', `turnpike.token.${token}`], { perMessageDeflate: false })
    : new WebSocket(`${url}/?${token}`, { perMessageDeflate: false })
  await new Promise((resolve, reject) => socket.once('message', resolve).once('error', reject).once('unexpected-response', () => reject(new Error('refused'))))
  return socket
}
