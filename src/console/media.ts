/** Camera and microphone, as much of them as there is; and why not, in words. */

import { find } from './stage.ts'

export type Media = { stream: MediaStream | null, words: string }

/** Tries both, then each alone. Never rejects. */
async function openMedia (): Promise<Media> {
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

/** Opens it and shows it in the lobby and beside the others. */
export async function prepareMedia (): Promise<Media> {
  const media = await openMedia()
  const { stream, words } = media
  find('preview-text').textContent = words
  for (const id of ['preview', 'self-video']) find<HTMLVideoElement>(id).srcObject = stream
  find('self').hidden = (stream?.getVideoTracks().length ?? 0) === 0
  find<HTMLButtonElement>('camera').disabled = (stream?.getVideoTracks().length ?? 0) === 0
  find<HTMLButtonElement>('microphone').disabled = (stream?.getAudioTracks().length ?? 0) === 0
  document.body.dataset['media'] = stream === null ? 'none' : 'ready'
  return media
}

/** Mutes or unmutes, and says on the button what it does next. */
export function toggle ({ stream }: Media, kind: 'audio' | 'video', button: HTMLElement, on: string, off: string): void {
  const tracks = stream?.getTracks().filter(track => track.kind === kind) ?? []
  for (const track of tracks) track.enabled = !track.enabled
  const isOff = tracks[0]?.enabled === false
  button.setAttribute('aria-pressed', String(isOff))
  button.textContent = isOff ? on : off
}
