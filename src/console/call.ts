/** The call page: a lobby, a room full of tiles, messages, and what the path of the call is, in words. */
import { join, TurnpikeClientError, type IceServer, type PeerView, type Room } from '../client/client.ts'
import { prepareMedia, toggle, type Media } from './media.ts'
import { PeerTile } from './peer-tile.ts'
import { find, note, showEnd, showMessage, showState } from './stage.ts'

const roomId = decodeURIComponent(location.pathname.split('/').at(-1) ?? '')
const options = new URLSearchParams(location.search)
/** ?relay=udp, tcp or tls: relay only, over that transport alone; for those who want to see a path work. */
const wantedTransport = options.get('relay')
/** So long the call goes on without the server. */
const PATIENCE_MS = 60_000

const tiles = new Map<string, PeerTile>()
let media: Media = { stream: null, words: '' }
let room: Room | null = null

find('room').textContent = roomId
document.title = `${roomId} · Turnpike`
find<HTMLInputElement>('relay-only').checked = wantedTransport !== null
find<HTMLInputElement>('name').value = localStorage.getItem('name') ?? ''

/** What everybody's tile says, together. */
function showPaths (): void {
  if (room === null) return
  const connected = [...tiles.values()].filter(tile => tile.connection.state === 'connected')
  const path = connected[0]?.path ?? null
  document.body.dataset['path'] = path?.kind ?? ''
  document.body.dataset['transport'] = path?.transport ?? ''
  if (tiles.size === 0) return showState('waiting', 'You are in. Nobody else is here yet.')
  if (connected.length === 0) return showState('connecting', 'Connecting …')
  const relayed = connected.filter(tile => tile.path?.kind === 'relay').length
  const how = relayed === 0 ? 'directly' : relayed === connected.length ? 'through the relay' : 'some through the relay'
  showState('connected', `${connected.length === 1 ? 'One other person' : `${connected.length} other people`}, ${how}`)
}

/** The ICE servers, cut down to the one transport that the address asks for. */
function chooseIceServers (iceServers: IceServer[]): IceServer[] {
  if (wantedTransport === null) return iceServers
  const fits = (url: string): boolean => wantedTransport === 'tls' ? url.startsWith('turns:') : url.startsWith('turn:') && url.endsWith(`transport=${wantedTransport}`)
  return iceServers.map(server => ({ ...server, urls: server.urls.filter(fits) })).filter(server => server.urls.length > 0)
}

function meet (joined: Room, peer: PeerView): void {
  const tile = new PeerTile(peer, joined.connect(peer.id), { onMessage: text => showMessage(tile.name, text, false), onChange: showPaths })
  tiles.set(peer.id, tile)
  find('tiles').append(tile.element)
  showPaths()
}

function part (id: string): void {
  note(`${tiles.get(id)?.name} left`)
  tiles.get(id)?.element.remove()
  tiles.delete(id)
  showPaths()
}

function end (error: unknown, hadJoined: boolean): void {
  room = null
  for (const [id, tile] of tiles) if (tiles.delete(id)) tile.element.remove()
  const { code, retry, message } = error instanceof TurnpikeClientError ? error : { code: '', retry: 'never', message: (error as Error).message }
  if (code === 'left') showEnd('You left', 'The others go on without you.')
  else if (!hadJoined) showEnd('You could not join', message)
  else showEnd('The call was interrupted', retry === 'never' ? message : 'The connection to the server was lost. You can join again.')
}

async function askForToken (): Promise<{ url: string, token: string }> {
  const name = find<HTMLInputElement>('name').value.trim()
  localStorage.setItem('name', name)
  const answer = await fetch(`/call/${encodeURIComponent(roomId)}/token`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(name === '' ? {} : { name }) })
  const body = await answer.json() as { url: string, token: string, title?: string, cure?: string }
  if (!answer.ok) throw new Error(`${body.title}. ${body.cure}`)
  return body
}

async function enter (): Promise<void> {
  showState('joining')
  const relayOnly = find<HTMLInputElement>('relay-now').checked = find<HTMLInputElement>('relay-only').checked
  try {
    const joined = await join({ ...await askForToken(), getToken: async () => (await askForToken()).token, media: media.stream, relayOnly, chooseIceServers, reconnect: { giveUpAfterMs: PATIENCE_MS } })
    room = joined
    joined.on('peer-joined', peer => {
      meet(joined, peer)
      note(`${tiles.get(peer.id)?.name} joined`)
    })
    joined.on('peer-left', ({ id }) => part(id))
    joined.on('peer-updated', peer => tiles.get(peer.id)?.rename(peer))
    joined.on('state', state => { if (state !== 'closed') note(state === 'joined' ? 'The server is back.' : 'The server cannot be reached. The call goes on where it can.') })
    joined.on('closed', error => end(error, true))
    showPaths()
    joined.peers.forEach(peer => meet(joined, peer))
    if (joined.iceServers.length === 0) note('The relay is not ready: only direct paths can be found.')
  } catch (error) {
    end(error, false)
  }
}

find('join').addEventListener('submit', event => {
  event.preventDefault()
  enter().catch(() => {})
})
find('say').addEventListener('submit', event => {
  event.preventDefault()
  const input = find<HTMLInputElement>('text')
  const text = input.value.trim()
  if (text === '') return
  tiles.forEach(tile => tile.say(text))
  showMessage('You', text, true)
  input.value = ''
})
find('copy').addEventListener('click', () => { navigator.clipboard?.writeText(location.origin + location.pathname).then(() => { find('copy').textContent = 'Copied' }, () => {}) })
find('microphone').addEventListener('click', () => toggle(media, 'audio', find('microphone'), 'Unmute', 'Mute'))
find('camera').addEventListener('click', () => toggle(media, 'video', find('camera'), 'Camera on', 'Camera off'))
find('relay-now').addEventListener('change', () => tiles.forEach(({ connection }) => { connection.relayOnly = find<HTMLInputElement>('relay-now').checked }))
find('leave').addEventListener('click', () => room?.leave())
find('again').addEventListener('click', () => { enter().catch(() => {}) })
setInterval(() => tiles.forEach(tile => { tile.refresh().catch(() => {}) }), 1000)
media = await prepareMedia()
if (options.has('join')) await enter()
