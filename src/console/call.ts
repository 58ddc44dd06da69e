/** The call page: a lobby, a room full of tiles, messages, and what the path of the call is, in words. */
import { join, type Room } from '../client/client.ts'
import type { IceServer, PeerView } from '../protocol/frames.ts'
import { openMedia, type Media } from './media.ts'
import { PeerTile } from './peer-tile.ts'

const find = <E extends HTMLElement>(id: string): E => document.getElementById(id) as E
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

function showState (state: 'lobby' | 'joining' | 'waiting' | 'connecting' | 'connected' | 'ended', words = ''): void {
  document.body.dataset['state'] = state
  find('status').textContent = words
  const isIn = state === 'waiting' || state === 'connecting' || state === 'connected'
  find('lobby').hidden = state !== 'lobby' && state !== 'joining'
  for (const id of ['stage', 'chat', 'controls']) find(id).hidden = !isIn
  find('notice').hidden = state !== 'ended'
  find('waiting').hidden = tiles.size > 0
}

/** What everybody's tile says, together. */
function showPaths (): void {
  if (room === null) return
  const all = [...tiles.values()]
  const connected = all.filter(tile => tile.connection.connectionState === 'connected')
  const path = connected[0]?.path ?? null
  document.body.dataset['path'] = path?.kind ?? ''
  document.body.dataset['transport'] = path?.transport ?? ''
  if (all.length === 0) return showState('waiting', 'You are in. Nobody else is here yet.')
  if (connected.length === 0) return showState('connecting', 'Connecting …')
  const relayed = connected.filter(tile => tile.path?.kind === 'relay').length
  const how = relayed === 0 ? 'directly' : relayed === connected.length ? 'through the relay' : 'some through the relay'
  showState('connected', `${connected.length === 1 ? 'One other person' : `${connected.length} other people`}, ${how}`)
}

function end (title: string, text: string): void {
  room = null
  for (const tile of tiles.values()) tile.close()
  tiles.clear()
  find('notice-title').textContent = title
  find('notice-text').textContent = text
  showState('ended')
}

function note (text: string): void {
  const item = document.createElement('li')
  item.className = 'note'
  item.textContent = text
  find('messages').append(item)
}

function message (from: string, text: string, mine: boolean): void {
  const item = document.createElement('li')
  if (mine) item.className = 'mine'
  const name = document.createElement('b')
  name.textContent = from
  item.append(name, text)
  find('messages').append(item)
  item.scrollIntoView({ block: 'end' })
}

function isRelayOnly (): boolean {
  return find<HTMLInputElement>('relay-now').checked
}

/** The ICE servers, cut down to the one transport that the address asks for. */
function chosen (iceServers: IceServer[]): IceServer[] {
  if (wantedTransport === null) return iceServers
  const fits = (url: string): boolean => wantedTransport === 'tls' ? url.startsWith('turns:') : url.startsWith('turn:') && url.endsWith(`transport=${wantedTransport}`)
  return iceServers.map(server => ({ ...server, urls: server.urls.filter(fits) })).filter(server => server.urls.length > 0)
}

function meet (peer: PeerView): void {
  const joined = room
  if (joined === null) return
  tiles.get(peer.id)?.close()
  const tile = new PeerTile({
    peer,
    iceServers: chosen(joined.iceServers),
    relayOnly: isRelayOnly(),
    media: media.stream,
    send: data => joined.signal(peer.id, data),
    onMessage: text => message(tile.name, text, false),
    onChange: showPaths,
  })
  tiles.set(peer.id, tile)
  find('tiles').append(tile.element)
  showPaths()
}

function part (id: string): void {
  const tile = tiles.get(id)
  if (tile === undefined) return
  note(`${tile.name} left`)
  tile.close()
  tiles.delete(id)
  showPaths()
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
  find<HTMLInputElement>('relay-now').checked = find<HTMLInputElement>('relay-only').checked
  try {
    const joined = await join(await askForToken())
    room = joined
    joined.on('peer-joined', peer => {
      meet(peer)
      note(`${tiles.get(peer.id)?.name} joined`)
    })
    joined.on('peer-left', ({ id }) => part(id))
    joined.on('peer-updated', peer => tiles.get(peer.id)?.rename(peer))
    joined.on('signal', ({ from, data }) => tiles.get(from)?.receive(data))
    joined.on('ice-servers', servers => tiles.forEach(tile => tile.renew(chosen(servers))))
    joined.on('closed', ({ code, reason, retry }) => {
      if (room === joined) end('The call was interrupted', retry === 'never' ? reason || `The server ended it (${code}).` : 'The connection to the server was lost. You can join again.')
    })
    showPaths()
    joined.peers.forEach(meet)
    if (joined.iceServers.length === 0) note('The relay is not ready: only direct paths can be found.')
  } catch (error) {
    end('You could not join', error instanceof Error ? error.message : String(error))
  }
}

function toggle (button: HTMLElement, kind: 'audio' | 'video', on: string, off: string): void {
  const tracks = media.stream?.getTracks().filter(track => track.kind === kind) ?? []
  for (const track of tracks) track.enabled = !track.enabled
  const isOff = tracks[0]?.enabled === false
  button.setAttribute('aria-pressed', String(isOff))
  button.textContent = isOff ? on : off
}

async function prepare (): Promise<void> {
  media = await openMedia()
  const { stream, words } = media
  find('preview-text').textContent = words
  for (const id of ['preview', 'self-video']) find<HTMLVideoElement>(id).srcObject = stream
  find('self').hidden = (stream?.getVideoTracks().length ?? 0) === 0
  find<HTMLButtonElement>('camera').disabled = (stream?.getVideoTracks().length ?? 0) === 0
  find<HTMLButtonElement>('microphone').disabled = (stream?.getAudioTracks().length ?? 0) === 0
  document.body.dataset['media'] = stream === null ? 'none' : 'ready'
  if (options.has('join')) await enter()
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
  message('You', text, true)
  input.value = ''
})
find('copy').addEventListener('click', () => {
  navigator.clipboard?.writeText(location.origin + location.pathname).then(() => { find('copy').textContent = 'Copied' }, () => {})
})
find('microphone').addEventListener('click', ({ currentTarget }) => toggle(currentTarget as HTMLElement, 'audio', 'Unmute', 'Mute'))
find('camera').addEventListener('click', ({ currentTarget }) => toggle(currentTarget as HTMLElement, 'video', 'Camera on', 'Camera off'))
// The policy of a connection that exists decides only about its next path; a new connection shows the switch at once.
find('relay-now').addEventListener('change', reconnectAll)
find('leave').addEventListener('click', () => {
  room?.leave()
  end('You left', 'The others go on without you.')
})
find('again').addEventListener('click', () => { enter().catch(() => {}) })
setInterval(() => tiles.forEach(tile => { tile.refresh().catch(() => {}) }), 1000)

/** Leaves and comes back, so that both ends build their connection anew. */
function reconnectAll (): void {
  room?.leave()
  room = null
  for (const tile of tiles.values()) tile.close()
  tiles.clear()
  const relayOnly = isRelayOnly()
  find<HTMLInputElement>('relay-only').checked = relayOnly
  enter().catch(() => {})
}

prepare().catch(() => {})
