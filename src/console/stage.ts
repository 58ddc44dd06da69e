/** What the call page shows beside the people: which part of it is seen, the notice of an end, and the messages. */

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

export function showEnd (title: string, text: string): void {
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

export function showMessage (from: string, text: string, mine: boolean): void {
  const item = document.createElement('li')
  if (mine) item.className = 'mine'
  const name = document.createElement('b')
  name.textContent = from
  item.append(name, text)
  find('messages').append(item)
  item.scrollIntoView({ block: 'end' })
}
