/** One RTCPeerConnection to one peer, negotiated perfectly (W3C WebRTC §10.7): either side may offer at any time, the polite one yields. */
import type { IceServer } from '../protocol/frames.ts'

export type Description = { description: RTCSessionDescriptionInit }
export type Candidate = { candidate: RTCIceCandidateInit | null }
export type NegotiationNeeds = {
  polite: boolean
  iceServers: IceServer[]
  /** Use relayed candidates only. */
  relayOnly: boolean
  send (data: Description | Candidate): void
}

/** Connections that fail try another path by themselves, so many times; each try takes Chromium 15 s and more. */
const MOST_RESTARTS = 1

/** An impolite side that has not offered by then is not going to: it may be a client that only answers. */
const SILENCE_MS = 2000

export class Negotiation {
  readonly connection: RTCPeerConnection
  readonly #needs: NegotiationNeeds
  /**
   * The polite side lets the other make the first offer: a first offer that is rolled back can leave Chromium (seen with 156)
   * without a single candidate, and the connection in 'new' for ever.
   */
  #mayOffer: boolean
  #makingOffer = false
  #ignoringOffer = false
  #settingAnswer = false
  #restarts = 0

  constructor (needs: NegotiationNeeds) {
    this.#needs = needs
    this.connection = new RTCPeerConnection(this.#configuration(needs.iceServers))
    this.#mayOffer = !needs.polite
    // An offer that fails because the connection was closed meanwhile needs no answer.
    this.connection.onnegotiationneeded = () => { if (this.#mayOffer) this.#offer().catch(() => {}) }
    if (needs.polite) setTimeout(() => this.#offerAfterSilence(), SILENCE_MS)
    this.connection.onicecandidate = ({ candidate }) => needs.send({ candidate: candidate?.toJSON() ?? null })
    this.connection.oniceconnectionstatechange = () => {
      const state = this.connection.iceConnectionState
      if (state === 'connected' || state === 'completed') this.#restarts = 0
      // One side is enough, and the impolite one's offer wins anyway.
      if (state === 'failed' && !needs.polite && this.#restarts++ < MOST_RESTARTS) this.connection.restartIce()
    }
  }

  /** Takes what the peer sent. */
  async receive (data: unknown): Promise<void> {
    if (typeof data !== 'object' || data === null) return
    if ('description' in data) await this.#take((data as Description).description)
    else if ('candidate' in data) await this.#add((data as Candidate).candidate)
  }

  /** Fresh ICE servers, for the next path that is looked for; the present one goes on. */
  renew (iceServers: IceServer[]): void {
    this.connection.setConfiguration(this.#configuration(iceServers))
  }

  close (): void {
    this.connection.close()
  }

  #configuration (iceServers: IceServer[]): RTCConfiguration {
    return { iceServers, iceTransportPolicy: this.#needs.relayOnly ? 'relay' : 'all', bundlePolicy: 'max-bundle' }
  }

  async #offer (): Promise<void> {
    try {
      this.#makingOffer = true
      await this.connection.setLocalDescription()
      this.#sendDescription()
    } finally {
      this.#makingOffer = false
    }
  }

  #offerAfterSilence (): void {
    const { connection } = this
    this.#mayOffer = true
    if (connection.signalingState === 'stable' && connection.remoteDescription === null) this.#offer().catch(() => {})
  }

  async #take (description: RTCSessionDescriptionInit): Promise<void> {
    const { connection } = this
    const isReady = !this.#makingOffer && (connection.signalingState === 'stable' || this.#settingAnswer)
    this.#ignoringOffer = !this.#needs.polite && description.type === 'offer' && !isReady
    if (this.#ignoringOffer) return
    this.#settingAnswer = description.type === 'answer'
    await connection.setRemoteDescription(description)
    this.#settingAnswer = false
    if (description.type !== 'offer') return
    await connection.setLocalDescription()
    this.#mayOffer = true
    this.#sendDescription()
  }

  async #add (candidate: RTCIceCandidateInit | null): Promise<void> {
    try {
      await this.connection.addIceCandidate(candidate ?? undefined)
    } catch (error) {
      // Candidates of an offer that we ignored mean nothing to us.
      if (!this.#ignoringOffer) throw error
    }
  }

  #sendDescription (): void {
    const { localDescription } = this.connection
    if (localDescription !== null) this.#needs.send({ description: localDescription.toJSON() as RTCSessionDescriptionInit })
  }
}
