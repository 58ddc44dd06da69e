import { Metadata, status } from '@grpc/grpc-js'
import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { Pings, type Call } from '../../../src/grpc/call-socket.ts'
import { bytesOf } from '../../../src/grpc/message.ts'
import { negotiate } from '../../../src/grpc/negotiate.ts'
import { endingFor } from '../../../src/grpc/statuses.ts'
import { ERRORS, closeCodeOf, type ErrorCode } from '../../../src/protocol/errors.ts'
import { silentLog } from '../../kit/store.ts'

const grpc = { status, Metadata }

test('what nobody expected while a call is taken ends that call with internal, and is thrown at nobody', () => {
  const call = Object.assign(new EventEmitter(), { metadata: new Metadata(), call: { stream: new EventEmitter() } })
  const endings: { code: number, metadata: Metadata }[] = []
  call.on('error', ending => endings.push(ending as { code: number, metadata: Metadata }))
  const logged: object[] = []
  const log = { ...silentLog, error: (fields: object) => { logged.push(fields) } }
  const signaling = { admit: () => {}, attach: () => { throw new Error('a fault of ours') } }
  negotiate(call as unknown as Call, { log, signaling, grantFor: () => { throw new Error('a fault of ours') } }, grpc, new Pings())
  expect(endings.map(({ code, metadata }) => [code, metadata.get('turnpike-code')])).toEqual([[status.INTERNAL, ['internal']]])
  expect(logged).toHaveLength(1)
})

test('every way in which signaling closes a socket ends a call with its own code and advice', () => {
  const closing = (Object.keys(ERRORS) as ErrorCode[]).filter(code => 'close' in ERRORS[code])
  expect(closing.length).toBeGreaterThan(10)
  for (const code of closing) {
    for (const reason of [ERRORS[code].title, code]) {
      const { metadata } = endingFor(closeCodeOf(code), reason, grpc) as { metadata: Metadata }
      expect([metadata.get('turnpike-code'), metadata.get('turnpike-retry')]).toEqual([[code], [ERRORS[code].retry]])
    }
  }
  expect(endingFor(1000, 'left', grpc)).toBeNull()
  expect((endingFor(4108, '', grpc) as { metadata: Metadata }).metadata.get('turnpike-code')).toEqual(['too-slow'])
  expect((endingFor(4999, '', grpc) as { code: number }).code).toBe(status.INTERNAL)
})

test('pings of a client that reads nothing are given back up to a bound', () => {
  let written = 0
  const stream = Object.assign(new EventEmitter(), { destroyed: false })
  const call = Object.assign(new EventEmitter(), { metadata: new Metadata(), call: { stream }, write: (bytes: Buffer) => { written += bytes.length } })
  const signaling = { admit: () => {}, attach: () => ({ onMessage: () => true, onPing: () => true, onPong: () => true, onClose: () => {} }) }
  negotiate(call as unknown as Call, { log: silentLog, signaling, grantFor: () => ({ tokenId: '' }) as never }, grpc, new Pings())
  const ping = bytesOf(JSON.stringify({ event: 'PING', message: Buffer.alloc(60_000).toString('base64') }))
  for (let i = 0; i < 100; i++) call.emit('data', ping)
  expect(written).toBeGreaterThan(200_000)
  expect(written).toBeLessThan(400_000)
})
