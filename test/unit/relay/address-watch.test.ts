import { expect, it } from 'vitest'
import { AddressWatch } from '../../../src/relay/address-watch.ts'
import type { Addresses } from '../../../src/relay/public-address.ts'

const OLD = addresses('192.0.2.1')
const NEW = addresses('192.0.2.2')
const OTHER = addresses('192.0.2.3')

function addresses (publicIp: string, isGuess = false): Addresses {
  return { listenIp: '10.0.0.1', publicIp, publicHost: publicIp, listenIp6: null, publicIp6: null, source: 'stun', decisions: [], isGuess }
}

/** How often a change was believed, when the looks saw these one after another. */
async function changes (running: Addresses | null, seen: readonly (Addresses | Error)[]): Promise<number> {
  const left = [...seen]
  let counted = 0
  let believed = 0
  const watch = new AddressWatch({
    relay: 'main',
    checkSeconds: 0,
    log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    metrics: { add: () => { counted++ } },
    look: async () => {
      const now = left.shift()
      if (now === undefined || now instanceof Error) throw now ?? new Error('nothing left')
      return { running, now }
    },
    onChanged: () => { believed++ },
  })
  for (let i = 0; i < seen.length; i++) await watch.look().catch(() => {})
  expect(counted).toBe(believed)
  return believed
}

it('believes another address when two looks in a row have seen it, and not before', async () => {
  expect(await changes(OLD, [NEW])).toBe(0)
  expect(await changes(OLD, [NEW, NEW])).toBe(1)
})

it.each([
  ['the address of the start comes back', [NEW, OLD, NEW]],
  ['each look sees another one', [NEW, OTHER, NEW]],
  ['nobody answers in between', [NEW, addresses('10.0.0.1', true), NEW]],
  ['only guesses are seen', [addresses('192.0.2.2', true), addresses('192.0.2.2', true)]],
  ['looking fails', [new Error('no route'), new Error('no route')]],
])('keeps the address where %s', async (_, seen) => {
  expect(await changes(OLD, seen)).toBe(0)
})

it('has nothing to compare with before coturn was started', async () => {
  expect(await changes(null, [NEW, NEW])).toBe(0)
})
