/** The edge over IPv6, in a network of its own: whom its limits count as one, and when it listens there at all. */
import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { startEdgeIn } from '../kit/edge.ts'
import { buildInternet, PUBLIC_IP } from '../kit/namespaces.ts'

const inside = (namespace: string, program: string, ...args: string[]): string => execFileSync('ip', ['netns', 'exec', namespace, program, ...args], { encoding: 'utf8' })

/** Holds a connection from each of these addresses; prints as JSON which were closed within three seconds, that is before silence is. */
const HOLD = `
const { connect } = require('node:net')
const addresses = process.argv.slice(1), closed = new Set()
for (const localAddress of addresses) connect({ host: '2001:db8::1', port: 443, localAddress }).on('error', () => {}).on('close', () => closed.add(localAddress)).resume()
setTimeout(() => { console.log(JSON.stringify(addresses.filter(address => closed.has(address)))); process.exit() }, 3000)`

test('a /64 of IPv6 counts as one address, and another one is not touched by it', async () => {
  const { pub } = buildInternet(0)
  const ofOne = Array.from({ length: 12 }, (_, i) => `2001:db8:0:1::${i + 1}`)
  const ofOther = ['2001:db8:0:2::1', '2001:db8:0:2::2']
  for (const address of ['2001:db8::1', ...ofOne, ...ofOther]) inside(pub, 'ip', 'addr', 'add', `${address}/128`, 'dev', 'lo')
  await startEdgeIn(pub, { TURNPIKE_DOMAIN: 'meet.test', EDGE_IPV6: '1', EDGE_MOST_OF_ONE_ADDRESS: '8' })
  const closed = JSON.parse(inside(pub, process.execPath, '-e', HOLD, ...ofOne, ...ofOther)) as string[]
  expect(closed).toHaveLength(4)
  expect(closed.filter(address => ofOther.includes(address))).toEqual([])
})

test('IPv6 is listened on where no address was chosen, and not beside one that was', () => {
  const { pub } = buildInternet(0)
  const startedWith = (...env: string[]): boolean => inside(pub, 'env', '-i', 'PATH=/usr/bin:/bin', ...env, 'sh', 'compose/edge/start.sh', 'env').includes('EDGE_IPV6=1')
  expect([startedWith(), startedWith('EDGE_ADDRESS=0.0.0.0'), startedWith(`EDGE_ADDRESS=${PUBLIC_IP}`)]).toEqual([true, true, false])
})
