/** A program of its own, run in another network: allocates, relays between its allocations, and talks to them as a peer; prints what it saw as JSON. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { isRefusal, TurnClient, type Allocation, type Login } from '../../src/stun/turn-client.ts'

export type Wanted = { host: string, /** Our own address. */ own: string, port: number, login: Login }
type Seen = { relayed: string[], /** Bytes that went from one allocation to the other. */ between: number }
export type Told = {
  mapped: string
  udp: Seen
  tcp: Seen
  /** Where the relay's packet came from, for a peer; and whom it saw when another peer spoke first. */
  outbound: { relayed: string, seenFrom: string }
  inbound: { sentFrom: string, seenFrom: string }
}

const { host, own, port, login } = JSON.parse(process.env['WANTED'] ?? '') as Wanted
const TIMEOUT_MS = 5000
const words = ({ address, port: at }: { address: string, port: number }): string => `${address}:${at}`

async function allocated (transport: 'udp' | 'tcp'): Promise<{ client: TurnClient, relayed: Allocation['relayed'] }> {
  const client = await TurnClient.open({ transport, host, port, timeoutMs: TIMEOUT_MS })
  const outcome = await client.allocate(login)
  if (isRefusal(outcome)) throw new Error(JSON.stringify(outcome))
  return { client, relayed: outcome.relayed }
}

async function within<T> (what: string, work: Promise<T>): Promise<T> {
  const timer = new Promise<never>((_resolve, reject) => { setTimeout(() => reject(new Error(`${what} did not happen`)), TIMEOUT_MS).unref() })
  return await Promise.race([work, timer])
}

async function between (transport: 'udp' | 'tcp'): Promise<Seen> {
  const [one, other] = [await allocated(transport), await allocated(transport)]
  for (const [mine, theirs] of [[one, other], [other, one]] as const) await mine.client.createPermission(theirs.relayed.address)
  let received = 0
  for (let i = 0; i < 20; i++) {
    const came = new Promise<void>(resolve => {
      const stop = other.client.onData((_from, data) => { received += data.length; stop(); resolve() })
    })
    one.client.send(other.relayed, Buffer.alloc(1000, i))
    await within(`packet ${i} over ${transport}`, came)
  }
  await Promise.all([one.client.close(), other.client.close()])
  return { relayed: [one.relayed.address, other.relayed.address], between: received }
}

async function peerAt (address: string): Promise<Socket> {
  const socket = createSocket('udp4')
  socket.bind(0, address)
  await once(socket, 'listening')
  return socket
}

const stun = await TurnClient.open({ transport: 'udp', host, port, timeoutMs: TIMEOUT_MS })
const mapped = (await stun.binding()).address
await stun.close()
const { client, relayed } = await allocated('udp')
await client.createPermission(own)
const [called, calling] = [await peerAt(own), await peerAt(own)]
const arrived = once(called, 'message') as Promise<[Buffer, RemoteInfo]>
client.send(called.address(), Buffer.from('to a peer'))
const [, from] = await within('a packet to a peer', arrived)
const heard = new Promise<{ address: string, port: number }>(resolve => { client.onData(resolve) })
calling.send('from a peer', relayed.port, relayed.address)
const told: Told = {
  mapped,
  outbound: { relayed: words(relayed), seenFrom: words(from) },
  inbound: { sentFrom: words(calling.address()), seenFrom: words(await within('a packet from a peer', heard)) },
  udp: await between('udp'),
  tcp: await between('tcp'),
}
await client.close()
called.close()
calling.close()
process.stdout.write(JSON.stringify(told))
