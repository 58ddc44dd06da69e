/** What the native protocol says when peers negotiate: the shapes between which other protocols are translated (W3C WebRTC §4.4, §4.8). */

export type NativeData =
  | { is: 'description', type: 'offer' | 'answer', sdp: string }
  | { is: 'candidate', candidate: Candidate }
  /** No more candidates. */
  | { is: 'end' }
export type Candidate = { candidate: string, sdpMid?: string | null, sdpMLineIndex?: number | null, usernameFragment?: string | null }

/** Reads {description} and {candidate}; null where it is neither. */
export function readNative (data: unknown): NativeData | null {
  if (!isObject(data)) return null
  if ('description' in data) return readDescription(data['description'])
  return 'candidate' in data ? readCandidate(data['candidate']) : null
}

/** An RTCSessionDescriptionInit that is an offer or an answer. */
export function readDescription (value: unknown): Extract<NativeData, { is: 'description' }> | null {
  if (!isObject(value)) return null
  const { type, sdp } = value
  return (type === 'offer' || type === 'answer') && typeof sdp === 'string' ? { is: 'description', type, sdp } : null
}

/** An RTCIceCandidateInit, or what ends them. */
export function readCandidate (value: unknown): Extract<NativeData, { is: 'candidate' | 'end' }> | null {
  if (value === null) return { is: 'end' }
  if (!isObject(value) || typeof value['candidate'] !== 'string') return null
  const { candidate, sdpMid, sdpMLineIndex, usernameFragment } = value
  if (candidate === '') return { is: 'end' }
  return {
    is: 'candidate',
    candidate: {
      candidate,
      ...(typeof sdpMid === 'string' || sdpMid === null ? { sdpMid } : {}),
      ...(typeof sdpMLineIndex === 'number' || sdpMLineIndex === null ? { sdpMLineIndex } : {}),
      ...(typeof usernameFragment === 'string' ? { usernameFragment } : {}),
    },
  }
}

function isObject (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
