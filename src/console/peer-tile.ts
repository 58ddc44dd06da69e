/** One other person in the call: their picture, their name, and the path between us in words. */
import { Negotiation } from '../client/negotiation.ts'
import { pathInWords, readPath, type Path } from '../client/stats-in-words.ts'
import type { IceServer, PeerView } from '../protocol/frames.ts'

export type TileNeeds = {
  peer: PeerView
  iceServers: IceServer[]
  relayOnly: boolean
  media: MediaStream | null
  send (data: unknown): void
  onMessage (text: string): void
  onChange (): void
}
const WORDS: Readonly<Partial<Record<RTCPeerConnectionState, string>>> = {
  new: 'Getting ready …',
  connecting: 'Looking for a path …',
  disconnected: 'Lost for a moment …',
  failed: 'No path was found. With “Relay only” off, or another network, it may work.',
  closed: 'Gone',
}

/** A negotiated connection and the element that shows it. */
export class PeerTile {
  readonly element = document.createElement('article')
  readonly #needs: TileNeeds
  readonly #negotiation: Negotiation
  readonly #channel: RTCDataChannel
  readonly #path = document.createElement('span')
  readonly #video = document.createElement('video')
  readonly #name = document.createElement('span')
  readonly #initial = document.createElement('div')
  #before: { path: Path, atMs: number } | null = null

  constructor (needs: TileNeeds) {
    this.#needs = needs
    this.#build()
    this.rename(needs.peer)
    this.#negotiation = new Negotiation({ polite: needs.peer.polite, iceServers: needs.iceServers, relayOnly: needs.relayOnly, send: needs.send })
    const { connection } = this.#negotiation
    connection.onconnectionstatechange = () => this.#showState()
    connection.ontrack = ({ streams, track }) => {
      this.#video.srcObject = streams[0] ?? new MediaStream([track])
      if (track.kind === 'video') this.element.dataset['video'] = 'yes'
    }
    // Both ends open it with the same number, so nobody has to be the one who does.
    this.#channel = connection.createDataChannel('chat', { negotiated: true, id: 0 })
    this.#channel.onmessage = ({ data }) => needs.onMessage(String(data))
    for (const track of needs.media?.getTracks() ?? []) connection.addTrack(track, needs.media ?? new MediaStream())
    this.#showState()
  }

  get connection (): RTCPeerConnection {
    return this.#negotiation.connection
  }

  get path (): Path | null {
    return this.#before?.path ?? null
  }

  get name (): string {
    return this.#name.textContent ?? ''
  }

  rename ({ metadata, id }: PeerView): void {
    const name = typeof metadata['name'] === 'string' ? metadata['name'] : `Guest ${id.slice(0, 4)}`
    this.#name.textContent = name
    this.#initial.textContent = [...name][0]?.toUpperCase() ?? '?'
    this.#video.setAttribute('aria-label', `Video of ${name}`)
  }

  receive (data: unknown): void {
    // Signals of a connection that was closed meanwhile come to nothing.
    this.#negotiation.receive(data).catch(() => {})
  }

  renew (iceServers: IceServer[]): void {
    this.#negotiation.renew(iceServers)
  }

  say (text: string): void {
    if (this.#channel.readyState === 'open') this.#channel.send(text)
  }

  /** Reads the path anew and shows it; once a second. */
  async refresh (): Promise<void> {
    if (this.connection.connectionState !== 'connected') return
    const path = readPath(await this.connection.getStats())
    if (path === null) return
    const atMs = performance.now()
    this.#path.textContent = pathInWords(path, this.#before?.path ?? null, atMs - (this.#before?.atMs ?? atMs))
    this.#before = { path, atMs }
    this.#needs.onChange()
  }

  close (): void {
    this.#negotiation.close()
    this.element.remove()
  }

  #build (): void {
    this.element.className = 'tile'
    this.#initial.className = 'initial'
    this.#initial.setAttribute('aria-hidden', 'true')
    this.#video.autoplay = true
    this.#video.playsInline = true
    this.#name.className = 'name'
    this.#path.className = 'path'
    const about = document.createElement('div')
    about.className = 'about'
    about.append(this.#name, this.#path)
    this.element.append(this.#initial, this.#video, about)
  }

  #showState (): void {
    const state = this.connection.connectionState
    this.element.dataset['connection'] = state
    this.#path.textContent = WORDS[state] ?? 'Connected'
    if (state !== 'connected') this.#before = null
    else this.refresh().catch(() => {})
    this.#needs.onChange()
  }
}
