import { expect, test } from 'vitest'
import { TopicFeed, type FeedEvent } from '../../../src/signaling/topic-feed.ts'

const collect = (): { seen: FeedEvent[], watcher: (event: FeedEvent) => void } => {
  const seen: FeedEvent[] = []
  return { seen, watcher: event => { seen.push(event) } }
}
const brief = (events: FeedEvent[]): string[] => events.map(({ type, data }) => `${type} ${data}`)

test('who comes back gets what was missed as long as all of it is known, and the list else', () => {
  const feed = new TopicFeed()
  const first = collect()
  feed.watch(first.watcher, undefined, () => ({ n: 0 }))
  for (let n = 1; n <= 300; n++) feed.tell('added', { n })
  expect(first.seen.map(({ id }) => Number(id.split('.')[1]))).toEqual(Array.from({ length: 301 }, (_, i) => i))
  const from = (n: number): string[] => {
    const { seen, watcher } = collect()
    feed.watch(watcher, first.seen[n]?.id, () => ({ all: true }))
    return brief(seen)
  }
  expect(from(300)).toEqual([])
  expect(from(299)).toEqual(['added {"n":300}'])
  expect(from(44)).toHaveLength(256)
  expect(from(43)).toEqual(['list {"all":true}'])
})

test('a feed is over a minute after its last watcher has gone, and not while there is one', () => {
  const feed = new TopicFeed()
  const [a, b] = [collect(), collect()]
  const ends = [feed.watch(a.watcher, undefined, () => ({})), feed.watch(b.watcher, undefined, () => ({}))]
  expect(feed.isOver(Infinity)).toBe(false)
  ends[0]?.()
  feed.tell('added', {})
  expect([a.seen.length, b.seen.length, feed.isOver(Infinity)]).toEqual([1, 2, false])
  ends[1]?.()
  expect([feed.isOver(performance.now() + 59_000), feed.isOver(performance.now() + 61_000)]).toEqual([false, true])
})

test('the numbers of one feed mean nothing to another', () => {
  const [one, other, { seen, watcher }] = [new TopicFeed(), new TopicFeed(), collect()]
  one.watch(watcher, undefined, () => ({}))
  const again = collect()
  other.watch(again.watcher, seen[0]?.id, () => ({}))
  expect(brief(again.seen)).toEqual(['list {}'])
})
