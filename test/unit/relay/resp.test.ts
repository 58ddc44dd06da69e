import { expect, test } from 'vitest'
import { RespCommands } from '../../../src/relay/resp.ts'

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
