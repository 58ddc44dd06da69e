/** A data channel by its label: whichever side opens it first, and over the RTCPeerConnections that come after. */
import type { Channel, ChannelEvents } from './api.ts'
import { Events } from './events.ts'

export class ManagedChannel implements Channel {
  readonly label: string
  readonly #options: RTCDataChannelInit | undefined
  readonly #events = new Events<ChannelEvents>()
  /** Both sides may have opened one: each writes to its first, and reads both. */
  #channels: RTCDataChannel[] = []

  constructor (label: string, options: RTCDataChannelInit | undefined) {
    this.label = label
    this.#options = options
  }

  get isOpen (): boolean {
    return this.#current?.readyState === 'open'
  }

  get bufferedAmount (): number {
    return this.#current?.bufferedAmount ?? 0
  }

  get #current (): RTCDataChannel | undefined {
    return this.#channels.find(({ readyState }) => readyState === 'open')
  }

  on<E extends keyof ChannelEvents> (type: E, listener: (detail: ChannelEvents[E]) => void): () => void {
    return this.#events.on(type, listener)
  }

  send (data: string | ArrayBuffer | ArrayBufferView<ArrayBuffer>): boolean {
    const current = this.#current
    // The overloads of send differ by type alone.
    current?.send(data as string)
    return current !== undefined
  }

  close (): void {
    for (const channel of this.#channels.splice(0)) channel.close()
    this.#events.emit('close', undefined)
    this.#events.close()
  }

  /** Opens it on a connection; what was on another one is over. */
  open (connection: RTCPeerConnection): void {
    const wasOpen = this.isOpen
    this.#channels = []
    if (wasOpen) this.#events.emit('close', undefined)
    this.take(connection.createDataChannel(this.label, this.#options))
  }

  /** One of ours or of the other side's. */
  take (channel: RTCDataChannel): void {
    this.#channels.push(channel)
    channel.binaryType = 'arraybuffer'
    const wasOpen = this.isOpen
    const opened = (): void => { if (this.#channels.filter(({ readyState }) => readyState === 'open').length === 1) this.#events.emit('open', undefined) }
    channel.onopen = opened
    // The other side's may be open already when it is shown.
    if (channel.readyState === 'open' && !wasOpen) opened()
    channel.onmessage = ({ data }) => this.#events.emit('message', data as string | ArrayBuffer)
    channel.onclose = () => {
      const index = this.#channels.indexOf(channel)
      if (index === -1) return
      this.#channels.splice(index, 1)
      if (!this.isOpen) this.#events.emit('close', undefined)
    }
  }
}
