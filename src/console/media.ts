/** Camera and microphone, as much of them as there is; and why not, in words. */

export type Media = { stream: MediaStream | null, words: string }

/** Tries both, then each alone. Never rejects. */
export async function openMedia (): Promise<Media> {
  if (!window.isSecureContext) return { stream: null, words: 'Browsers give camera and microphone only to https pages and localhost. You can join with messages alone.' }
  let refused = false
  for (const wanted of [{ video: { width: 1280, height: 720 }, audio: true }, { video: false, audio: true }, { video: true, audio: false }]) {
    try {
      const stream = await navigator.mediaDevices.getUserMedia(wanted)
      const words = stream.getVideoTracks().length === 0 ? 'No camera was found; the others will hear you.' : stream.getAudioTracks().length === 0 ? 'No microphone was found; the others will see you.' : ''
      return { stream, words }
    } catch (error) {
      refused ||= (error as DOMException).name === 'NotAllowedError'
    }
  }
  return { stream: null, words: refused ? 'The browser was not allowed to use camera and microphone. You can join with messages alone.' : 'No camera and no microphone were found. You can join with messages alone.' }
}
