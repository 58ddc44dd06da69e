/**
 * Floods a STUN server on UDP from many ports, in a process of its own so that the flood takes no time from who measures:
 * `flood.ts <host> <port> <packets a second> <seconds> strangers|wrong-passwords`. Prints what was sent and answered, as JSON.
 */
import { createSocket, type Socket } from 'node:dgram'
import { randomBytes } from 'node:crypto'
import { isIPv6 } from 'node:net'
import { readText, requestedTransportUdp, text } from '../../src/stun/attributes.ts'
import { ATTRIBUTE, CLASS, decode, encode, longTermKey, METHOD, type Attribute } from '../../src/stun/message.ts'

const SOCKETS = 50
const TICK_MS = 5
/** Well-formed and not expired, so that the password is all that is wrong. */
const USERNAME = `${Math.floor(Date.now() / 1000) + 600}:default.flood.0`

type Attacker = { socket: Socket, challenge: { realm: string, nonce: string } | null }
const [host = '', port = '', rate = '', seconds = '', kind = ''] = process.argv.slice(2)
let [sent, answered] = [0, 0]

function request (method: number, attributes: Attribute[] = [], key?: Buffer): Buffer {
  return encode({ method, class: CLASS.request, transactionId: randomBytes(12), attributes }, key)
}

/** A new packet each time: an Allocate signed with a wrong password where there is a challenge to answer, or what strangers send. */
function packet ({ challenge }: Attacker): Buffer {
  if (kind === 'wrong-passwords' && challenge !== null) {
    const login = [text(ATTRIBUTE.username, USERNAME), text(ATTRIBUTE.realm, challenge.realm), text(ATTRIBUTE.nonce, challenge.nonce)]
    return request(METHOD.allocate, [requestedTransportUdp(), ...login], longTermKey(USERNAME, challenge.realm, 'a guess'))
  }
  const turn = sent % 3
  return turn === 0 ? request(METHOD.binding) : turn === 1 ? randomBytes(100) : request(METHOD.allocate, [requestedTransportUdp()])
}

function attacker (): Attacker {
  const socket = createSocket({ type: isIPv6(host) ? 'udp6' : 'udp4', recvBufferSize: 1_048_576 })
  const made: Attacker = { socket, challenge: null }
  socket.on('error', () => {})
  socket.on('message', bytes => {
    answered++
    const answer = decode(bytes)
    const [realm, nonce] = [readText(answer, ATTRIBUTE.realm), readText(answer, ATTRIBUTE.nonce)]
    if (realm !== undefined && nonce !== undefined) made.challenge = { realm, nonce }
  })
  return made
}

const attackers = Array.from({ length: SOCKETS }, attacker)
for (const { socket } of attackers) socket.send(request(METHOD.allocate, [requestedTransportUdp()]), Number(port), host)
const startsAt = performance.now() + 200
const timer = setInterval(() => {
  const due = Math.min(performance.now() - startsAt, Number(seconds) * 1000) / 1000 * Number(rate)
  while (sent < due) {
    const one = attackers[sent % SOCKETS] as Attacker
    one.socket.send(packet(one), Number(port), host)
    sent++
  }
  if (sent < Number(seconds) * Number(rate)) return
  clearInterval(timer)
  setTimeout(() => {
    attackers.forEach(({ socket }) => socket.close())
    process.stdout.write(JSON.stringify({ sent, answered }) + '\n')
  }, 300)
}, TICK_MS)
