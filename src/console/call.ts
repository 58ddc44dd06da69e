/** The call page: a lobby, a room full of tiles, messages, and what the path of the call is, in words. */
import { join, type IceServer, type PeerView, type Room } from '../client/client.ts'
import { prepareMedia, toggle, type Media } from './media.ts'
import { PeerTile } from './peer-tile.ts'
import { find, note, noteServer, showCall, showEnd, showMessage, showState } from './stage.ts'
import { askForToken } from './token.ts'

const roomId = decodeURIComponent(location.pathname.split('/').at(-1) ?? '')
const options = new URLSearchParams(location.search)
/** ?relay=udp, tcp or tls: relay only, over that transport alone; for those who want to see a path work. */
const wantedTransport = options.get('relay')

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
  showCall({ others: tiles.size, connected: connected.length, relayed: connected.filter(tile => tile.path?.kind === 'relay').length, isAway: room.state === 'reconnecting' })
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
  showEnd(error, hadJoined)
}

async function enter (): Promise<void> {
  showState('joining')
  const relayOnly = find<HTMLInputElement>('relay-now').checked = find<HTMLInputElement>('relay-only').checked
  try {
    const name = find<HTMLInputElement>('name').value.trim()
    localStorage.setItem('name', name)
    // Without end: a call that flows needs no server, and a page that waits is back with it.
    const joined = await join({ ...await askForToken(roomId, name), getToken: async () => (await askForToken(roomId, name)).token, media: media.stream, relayOnly, chooseIceServers })
    room = joined
    joined.on('peer-joined', peer => {
      meet(joined, peer)
      note(`${tiles.get(peer.id)?.name} joined`)
    })
    joined.on('peer-left', ({ id }) => part(id))
    joined.on('peer-updated', peer => tiles.get(peer.id)?.rename(peer))
    joined.on('state', noteServer)
    joined.on('state', showPaths)
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
