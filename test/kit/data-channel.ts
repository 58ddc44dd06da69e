/** A WebRTC peer out of libdatachannel that speaks through the relay, whatever carries its words. */
import nodeDataChannel, { type DataChannel, type DescriptionType } from 'node-datachannel'
import { whenDone } from './cleanup.ts'
import { until } from './files.ts'

export type Words = { description (type: 'offer' | 'answer', sdp: string): void, candidate (candidate: string, mid: string): void }
export type RtcPeer = {
  received: string[]
  setDescription (type: 'offer' | 'answer', sdp: string): void
  addCandidate (candidate: string, mid: string): void
  /** Opens a channel: its offer follows. */
  open (): void
  send (text: string): Promise<void>
}

/** `iceServers` as they are handed out; only the relay over UDP is used. */
export function rtcPeer (name: string, iceServers: { urls: string[], username?: string, credential?: string }[], words: Words): RtcPeer {
  const servers = iceServers.flatMap(({ urls, username = '', credential = '' }) => urls.filter(url => url.startsWith('turn:') && url.endsWith('transport=udp')).map(url => {
    const [, host = '', port = ''] = /^turn:([^:?]+):(\d+)/.exec(url) ?? []
    return { hostname: host, port: Number(port), username, password: credential, relayType: 'TurnUdp' as const }
  }))
  const connection = new nodeDataChannel.PeerConnection(name, { iceServers: servers, iceTransportPolicy: 'relay', bindAddress: '127.0.0.1' })
  let channel: DataChannel | null = null
  const received: string[] = []
  const use = (made: DataChannel): void => {
    channel = made
    made.onMessage(text => received.push(String(text)))
  }
  connection.onLocalDescription((sdp, type) => words.description(type.toLowerCase() as 'offer' | 'answer', sdp))
  connection.onLocalCandidate((candidate, mid) => words.candidate(candidate, mid))
  connection.onDataChannel(use)
  whenDone(() => connection.close())
  return {
    received,
    setDescription: (type, sdp) => connection.setRemoteDescription(sdp, type as DescriptionType),
    addCandidate: (candidate, mid) => connection.addRemoteCandidate(candidate, mid),
    open: () => use(connection.createDataChannel('data')),
    send: async text => {
      await until(`the channel of ${name} (${connection.state()}, ${connection.iceState()})`, () => channel?.isOpen() === true, 20_000)
      channel?.sendMessage(text)
    },
  }
}
