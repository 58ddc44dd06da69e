/** Our public address, as DNS and several STUN servers tell it, and what becomes of the relay when it changes. */
import { execFileSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { writeFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { expect, test } from 'vitest'
import { xorAddress } from '../../src/stun/attributes.ts'
import { ATTRIBUTE, CLASS, decode, encode } from '../../src/stun/message.ts'
import { isRefusal, TurnClient } from '../../src/stun/turn-client.ts'
import { whenDone } from '../kit/cleanup.ts'
import { mintLogin } from '../kit/coturn.ts'
import { scratchDirectory, until } from '../kit/files.ts'
import { makeRelay, RELAY_SECRET, sample } from '../kit/relay.ts'

type StunServer = { at: string, says: string | null }

/** A STUN server that says what it is told to; null: nothing. */
async function stunServer (says: string | null): Promise<StunServer> {
  const socket = createSocket('udp4')
  await new Promise<void>(resolve => socket.bind(0, '127.0.0.1', resolve))
  whenDone(() => socket.close())
  const server: StunServer = { at: `127.0.0.1:${socket.address().port}`, says }
  socket.on('message', (bytes, from) => {
    if (server.says === null) return
    const { transactionId, method } = decode(bytes)
    socket.send(encode({ method, class: CLASS.success, transactionId, attributes: [xorAddress(ATTRIBUTE.xorMappedAddress, { address: server.says, port: 4000 }, transactionId)] }), from.port, from.address)
  })
  return server
}

/** An address of this machine that is not loopback: a relay on loopback asks nobody. */
function outerAddress (): string {
  const found = Object.values(networkInterfaces()).flatMap(list => list ?? []).find(({ family, internal }) => family === 'IPv4' && !internal)
  if (found === undefined) throw new Error('this machine has loopback alone; give it an address, such as: ip addr add 192.0.2.2/24 dev dummy0')
  return found.address
}

test('what most STUN servers say counts; an address that has changed is taken over by an upgrade once it was seen twice, and servers that fall silent change nothing', async () => {
  const servers = [await stunServer('127.0.0.9'), await stunServer('127.0.0.66'), await stunServer('127.0.0.9')]
  const relay = await makeRelay({
    TURNPIKE_RELAY_LISTEN_IP: outerAddress(),
    // Whatever is relayed to the public address must stay on this machine, also if something is wrong here.
    TURNPIKE_RELAY_PEERS: 'loopback',
    TURNPIKE_RELAY_STUN_SERVERS: servers.map(({ at }) => at).join(','),
    TURNPIKE_RELAY_ADDRESS_CHECK_SECONDS: '1',
    TURNPIKE_RELAY_HAND_OVER_SECONDS: '0',
  })
  await relay.start()
  expect(relay.health()).toMatchObject({ ready: true, publicAddress: '127.0.0.9', host: '127.0.0.9' })
  expect(relay.decisions()).toContainEqual(`public address 127.0.0.9, from STUN ${servers[0]?.at} and ${servers[2]?.at}`)
  for (const server of servers) server.says = null
  await new Promise(resolve => setTimeout(resolve, 4000))
  expect(await sample(relay.metrics, 'turnpike_relay_address_changes_total{relay="turnpike"}')).toBe(0)
  for (const server of servers) server.says = '127.0.0.10'
  await until('the new address is served', () => relay.health().publicAddress === '127.0.0.10' && relay.health().operation?.phase === 'done', 30_000)
  expect(await sample(relay.metrics, 'turnpike_relay_address_changes_total{relay="turnpike"}')).toBe(1)
  expect(relay.log.join('\n')).toMatch(/the address of the relay has changed.*127\.0\.0\.9.*127\.0\.0\.10/)
  expect(relay.health()).toMatchObject({ slot: 'main', state: 'healthy' })
  const client = await TurnClient.open({ transport: 'udp', host: outerAddress(), port: relay.port, timeoutMs: 2000 })
  const outcome = await client.allocate(mintLogin(RELAY_SECRET, 600))
  expect(isRefusal(outcome) ? outcome : outcome.relayed.address).toBe('127.0.0.10')
  await client.close()
})

/** findAddresses in a process of its own that sees these lines for /etc/hosts. */
function addressesWithHosts (hosts: string, settings: object): { publicIp: string, source: string } {
  const directory = scratchDirectory()
  writeFileSync(`${directory}/hosts`, hosts)
  writeFileSync(`${directory}/find.ts`, `import { findAddresses } from '${process.cwd()}/src/relay/public-address.ts'\nprocess.stdout.write(JSON.stringify(await findAddresses(${JSON.stringify(settings)})))\n`)
  return JSON.parse(execFileSync('unshare', ['-m', 'sh', '-ec', `mount --bind ${directory}/hosts /etc/hosts; exec ${process.execPath} --disable-warning=ExperimentalWarning ${directory}/find.ts`], { encoding: 'utf8' })) as { publicIp: string, source: string }
}

test('a name that leads to one public address is believed before STUN is asked; one that leads to a private one, or to several, is not', async () => {
  const settings = { listenIp: outerAddress(), publicHost: 'turn.example', stunServers: [] }
  expect(addressesWithHosts('8.8.4.4 turn.example\n', settings)).toMatchObject({ publicIp: '8.8.4.4', source: 'from DNS: turn.example leads there' })
  expect(addressesWithHosts('10.0.0.5 turn.example\n', settings)).toMatchObject({ publicIp: outerAddress(), isGuess: true })
  expect(addressesWithHosts('8.8.4.4 turn.example\n8.8.8.8 turn.example\n', settings)).toMatchObject({ publicIp: outerAddress() })
  expect(addressesWithHosts('8.8.4.4 turn.example\n', { ...settings, externalIp: '1.1.1.1' })).toMatchObject({ publicIp: '1.1.1.1', source: 'configured' })
})
