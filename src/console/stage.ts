/** What the call page shows beside the people: which part of it is seen, the notice of an end, and the messages. */
import { TurnpikeClientError, type RoomState } from '../client/client.ts'

export type PageState = 'lobby' | 'joining' | 'waiting' | 'connecting' | 'connected' | 'ended'

export function find<E extends HTMLElement> (id: string): E {
  return document.getElementById(id) as E
}

export function showState (state: PageState, words = ''): void {
  document.body.dataset['state'] = state
  find('status').textContent = words
  const isIn = state === 'waiting' || state === 'connecting' || state === 'connected'
  find('lobby').hidden = state !== 'lobby' && state !== 'joining'
  for (const id of ['stage', 'chat', 'controls']) find(id).hidden = !isIn
  find('notice').hidden = state !== 'ended'
  find('waiting').hidden = state !== 'waiting'
}

/** Where the call is: with how many others, how many of them through the relay, and whether the server is there. */
export function showCall ({ others, connected, relayed, isAway }: { others: number, connected: number, relayed: number, isAway: boolean }): void {
  if (connected === 0) {
    const words = others === 0 ? 'You are in. Nobody else is here yet.' : 'Connecting …'
    return showState(others === 0 ? 'waiting' : 'connecting', isAway ? 'No connection to the server. Trying again …' : words)
  }
  const how = relayed === 0 ? 'directly' : relayed === connected ? 'through the relay' : 'some through the relay'
  const words = `${connected === 1 ? 'One other person' : `${connected} other people`}, ${how}`
  showState('connected', isAway ? `${words}. No connection to the server; the call goes on.` : words)
}

/** The end, and why. */
export function showEnd (error: unknown, hadJoined: boolean): void {
  const isLeft = error instanceof TurnpikeClientError && error.code === 'left'
  const [title, text] = isLeft ? ['You left', 'The others go on without you.'] : [hadJoined ? 'The call was interrupted' : 'You could not join', (error as Error).message]
  find('notice-title').textContent = title
  find('notice-text').textContent = text
  showState('ended')
}

/** A line that nobody said. */
export function note (text: string): void {
  const item = document.createElement('li')
  item.className = 'note'
  item.textContent = text
  find('messages').append(item)
}

export function noteServer (state: RoomState): void {
  if (state !== 'closed') note(state === 'joined' ? 'The server is back.' : 'The server cannot be reached. The call goes on where it can.')
}

export function showMessage (from: string, text: string, mine: boolean): void {
  const item = document.createElement('li')
  if (mine) item.className = 'mine'
  const name = document.createElement('b')
  name.textContent = from
  item.append(name, text)
  find('messages').append(item)
  item.scrollIntoView({ block: 'end' })
}
