import { expect, test } from 'vitest'
import { RespCommands, RespError } from '../../../src/relay/resp.ts'

const bulk = (...words: string[]): string => `*${words.length}\r\n${words.map(word => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`

test('commands are read wherever the bytes are cut', () => {
  const commands = [['AUTH', 'pässword'], ['PUBLISH', 'turn/realm/r/user/u/allocation/1/status', 'deleted'], ['PING']]
  const bytes = Buffer.from(commands.map(command => bulk(...command)).join(''))
  for (let cut = 0; cut <= bytes.length; cut++) {
    const parser = new RespCommands()
    expect([...parser.push(bytes.subarray(0, cut)), ...parser.push(bytes.subarray(cut))]).toEqual(commands)
  }
  const parser = new RespCommands()
  expect([...bytes].flatMap(byte => parser.push(Buffer.from([byte])))).toEqual(commands)
})

test.each(['GET / HTTP/1.1\r\n\r\n', '*1\r\n+PING\r\n', '*99999\r\n', '*1\r\n$999999\r\n', '*x\r\n', '*1\r\n$1\r\nab\r\n', `*${'1'.repeat(40)}`, '*-1\r\n'])('%j is refused', text => {
  expect(() => new RespCommands().push(Buffer.from(text))).toThrow()
})

test('what never ends is not collected for ever', () => {
  const parser = new RespCommands()
  const argument = bulk('x'.repeat(4000)).slice(4)
  expect(() => {
    parser.push(Buffer.from('*64\r\n'))
    for (let i = 0; i < 30; i++) parser.push(Buffer.from(argument))
  }).toThrow('too large')
})

test('garbage ends in a RespError or in nothing, never in another error', () => {
  // A generator of our own, so that a failure can be had again.
  let state = 42
  const next = (below: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    return Math.floor(state / 65_536) % below
  }
  const valid = Buffer.from(bulk('PUBLISH', 'turn/realm/r/user/1:a.b/allocation/1/traffic', 'rcvp=1, rcvb=2, sentp=3, sentb=4'))
  let refused = 0
  for (let i = 0; i < 20_000; i++) {
    const bytes = i % 2 === 0 ? Buffer.from(Array.from({ length: next(64) }, () => next(256))) : Buffer.from(valid)
    if (i % 2 === 1) for (let changes = 1 + next(3); changes > 0; changes--) bytes[next(bytes.length)] = next(256)
    const parser = new RespCommands()
    try {
      for (let at = 0; at < bytes.length; at += 7) parser.push(bytes.subarray(at, at + 7))
    } catch (error) {
      expect(error).toBeInstanceOf(RespError)
      refused++
    }
  }
  expect(refused).toBeGreaterThan(5000)
})
