import { expect, test } from 'vitest'
import { startAll, stopAll, type Part } from '../../src/lifecycle.ts'

/** A part that writes down what happens to it. */
function part (name: string, log: string[], failing?: 'start' | 'stop'): Part {
  const act = (what: 'start' | 'stop'): void => {
    log.push(`${what} ${name}`)
    if (failing === what) throw new Error(`${name} does not ${what}`)
  }
  return { name, start: async () => act('start'), stop: async () => act('stop') }
}

test('parts start in order and stop in reverse', async () => {
  const log: string[] = []
  const parts = [part('a', log), part('b', log)]
  await startAll(parts)
  await stopAll(parts, 1000)
  expect(log).toEqual(['start a', 'start b', 'stop b', 'stop a'])
})

test('where one does not start, those that did are stopped, and its error is told', async () => {
  const log: string[] = []
  await expect(startAll([part('a', log), part('b', log, 'start'), part('c', log)])).rejects.toThrow('b does not start')
  expect(log).toEqual(['start a', 'start b', 'stop a'])
})

test('one that does not stop keeps none of the others running', async () => {
  const log: string[] = []
  await expect(stopAll([part('a', log), part('b', log, 'stop')], 1000)).rejects.toThrow('b does not stop')
  expect(log).toEqual(['stop b', 'stop a'])
})
