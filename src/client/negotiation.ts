/** One RTCPeerConnection to one peer, negotiated perfectly (W3C WebRTC §10.7): either side may offer at any time, the polite one yields. */

export type Description = { description: RTCSessionDescriptionInit }
export type Candidate = { candidate: RTCIceCandidateInit | null }
export type NegotiationNeeds = {
  connection: RTCPeerConnection
  polite: boolean
  /** May it make the first offer, although it is polite? */
  mayOffer: boolean
  send (data: Description | Candidate): void
  onError (error: unknown): void
}

/** An impolite side that has not offered by then is not going to: it may be a client that only answers. */
const SILENCE_MS = 2000

export class Negotiation {
  readonly connection: RTCPeerConnection
  polite: boolean
  readonly #needs: NegotiationNeeds
  /**
   * The polite side lets the other make the first offer: a first offer that is rolled back can leave Chromium (seen with 156)
   * without a single candidate, and the connection in 'new' for ever.
   */
  #mayOffer: boolean
  #makingOffer = false
  #ignoringOffer = false
  #settingAnswer = false
  #remoteFingerprint: string | undefined
  readonly #silence: ReturnType<typeof setTimeout> | undefined

  constructor (needs: NegotiationNeeds) {
    const { connection, polite, mayOffer } = needs
    this.#needs = needs
    this.connection = connection
    this.polite = polite
    this.#mayOffer = mayOffer || !polite
    connection.onnegotiationneeded = () => { if (this.#mayOffer) this.#offer() }
    connection.onicecandidate = ({ candidate }) => needs.send({ candidate: candidate?.toJSON() ?? null })
    if (!this.#mayOffer) this.#silence = setTimeout(() => this.#offerAfterSilence(), SILENCE_MS)
  }

  /** What we call ourselves on the path; another one after each ICE restart (RFC 8445 §9). */
  get user (): string | undefined {
    return /a=ice-ufrag:\S+/.exec(this.connection.localDescription?.sdp ?? '')?.[0]
  }

  /** Is this from another RTCPeerConnection than what came before, or would it take back our first offer? Then only a new one of ours can take it. */
  needsAnother ({ type, sdp }: RTCSessionDescriptionInit): boolean {
    const fingerprint = fingerprintOf(sdp)
    const { signalingState, remoteDescription } = this.connection
    const isFirstTakenBack = this.polite && type === 'offer' && remoteDescription === null && (signalingState === 'have-local-offer' || this.#makingOffer)
    return isFirstTakenBack || (this.#remoteFingerprint !== undefined && fingerprint !== this.#remoteFingerprint && fingerprint !== undefined)
  }

  async take (description: RTCSessionDescriptionInit): Promise<void> {
    const { connection } = this
    const isReady = !this.#makingOffer && (connection.signalingState === 'stable' || this.#settingAnswer)
    this.#ignoringOffer = !this.polite && description.type === 'offer' && !isReady
    if (this.#ignoringOffer) return
    this.#remoteFingerprint = fingerprintOf(description.sdp) ?? this.#remoteFingerprint
    this.#settingAnswer = description.type === 'answer'
    try {
      await connection.setRemoteDescription(description)
      this.#settingAnswer = false
      if (description.type !== 'offer') return
      await connection.setLocalDescription()
      this.#mayOffer = true
      this.#sendDescription()
    } catch (error) {
      this.#settingAnswer = false
      this.#report(error)
    }
  }

  async add (candidate: RTCIceCandidateInit | null): Promise<void> {
    try {
      await this.connection.addIceCandidate(candidate ?? undefined)
    } catch (error) {
      // Candidates of an offer that we ignored, or of a connection that is gone, mean nothing to us.
      if (!this.#ignoringOffer && this.connection.remoteDescription !== null) this.#report(error)
    }
  }

  /** An offer that nobody answered, once more. */
  repeat (): void {
    if (this.connection.signalingState === 'have-local-offer') this.#sendDescription()
  }

  close (): void {
    clearTimeout(this.#silence)
    this.connection.onnegotiationneeded = this.connection.onicecandidate = null
    this.connection.close()
  }

  #offer (): void {
    this.#makingOffer = true
    this.connection.setLocalDescription().then(() => this.#sendDescription(), error => this.#report(error)).finally(() => { this.#makingOffer = false })
  }

  #offerAfterSilence (): void {
    const { signalingState, remoteDescription } = this.connection
    this.#mayOffer = true
    if (signalingState === 'stable' && remoteDescription === null) this.#offer()
  }

  #sendDescription (): void {
    const { localDescription } = this.connection
    if (localDescription !== null) this.#needs.send({ description: { type: localDescription.type, sdp: localDescription.sdp } })
  }

  /** What fails because it was closed meanwhile needs no word. */
  #report (error: unknown): void {
    if (this.connection.signalingState !== 'closed') this.#needs.onError(error)
  }
}

/** Another one is another DTLS association (RFC 8842 §4). */
function fingerprintOf (sdp: string | undefined): string | undefined {
  return /^a=fingerprint:(.+?)\s*$/m.exec(sdp ?? '')?.[1]
}
