/** One other person in the call: their picture, their name, and the path between us in words. */
import type { Channel, Connection, ConnectionState, Path, PeerView } from '../client/client.ts'

export type TileNeeds = { onMessage (text: string): void, onChange (): void }
const WORDS: Readonly<Partial<Record<ConnectionState, string>>> = {
  connecting: 'Looking for a path …',
  reconnecting: 'Lost for a moment …',
  failed: 'No path was found. With “Relay only” off, or another network, it may work.',
  closed: 'Gone',
}

/** A connection and the element that shows it. */
export class PeerTile {
  readonly element = document.createElement('article')
  readonly connection: Connection
  readonly #needs: TileNeeds
  readonly #channel: Channel
  readonly #path = document.createElement('span')
  readonly #video = document.createElement('video')
  readonly #name = document.createElement('span')
  readonly #initial = document.createElement('div')
  #seen: Path | null = null

  constructor (peer: PeerView, connection: Connection, needs: TileNeeds) {
    this.connection = connection
    this.#needs = needs
    this.#build()
    this.rename(peer)
    connection.on('state', () => this.#showState())
    connection.on('track', ({ streams, track }) => {
      this.#video.srcObject = streams[0] ?? new MediaStream([track])
      if (track.kind === 'video') this.element.dataset['video'] = 'yes'
    })
    this.#channel = connection.channel('chat')
    this.#channel.on('message', data => needs.onMessage(String(data)))
    this.#showState()
  }

  get path (): Path | null {
    return this.#seen
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

  say (text: string): void {
    this.#channel.send(text)
  }

  /** Reads the path anew and shows it; once a second. */
  async refresh (): Promise<void> {
    if (this.connection.state !== 'connected') return
    const stats = await this.connection.stats()
    if (stats === null) return
    this.#path.textContent = stats.words
    this.#seen = stats.path
    this.#needs.onChange()
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
    const { state } = this.connection
    this.element.dataset['connection'] = state
    this.#path.textContent = WORDS[state] ?? 'Connected'
    if (state !== 'connected') this.#seen = null
    else this.refresh().catch(() => {})
    this.#needs.onChange()
  }
}
