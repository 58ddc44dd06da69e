/**
 * Floods a STUN server on UDP from many ports, in a process of its own so that the flood takes no time from who measures:
 * `flood.ts <host> <port> <packets a second> <seconds> strangers|wrong-passwords|forbidden-peers [<username> <password>]`.
 * Prints what was sent and answered, as JSON.
 */
import { createSocket, type Socket } from 'node:dgram'
import { randomBytes } from 'node:crypto'
import { isIPv6 } from 'node:net'
import { readText, requestedTransportUdp, text, xorAddress } from '../../src/stun/attributes.ts'
import { ATTRIBUTE, CLASS, decode, encode, longTermKey, METHOD, type Attribute } from '../../src/stun/message.ts'

const SOCKETS = 50
const TICK_MS = 5
/** Well-formed and not expired, so that the password is all that is wrong. */
const GUESS = { username: `${Math.floor(Date.now() / 1000) + 600}:default.flood.0`, password: 'a guess' }

type Attacker = { socket: Socket, challenge: { realm: string, nonce: string } | null, isIn: boolean }
const [host = '', port = '', rate = '', seconds = '', kind = '', username = GUESS.username, password = GUESS.password] = process.argv.slice(2)
let [sent, answered] = [0, 0]

function request (method: number, attributes: Attribute[] = []): Buffer {
  return encode({ method, class: CLASS.request, transactionId: randomBytes(12), attributes })
}

/** With what everybody can know, or was given. */
function signed (method: number, { realm, nonce }: NonNullable<Attacker['challenge']>, wanted: (transactionId: Buffer) => Attribute): Buffer {
  const transactionId = randomBytes(12)
  const attributes = [wanted(transactionId), text(ATTRIBUTE.username, username), text(ATTRIBUTE.realm, realm), text(ATTRIBUTE.nonce, nonce)]
  return encode({ method, class: CLASS.request, transactionId, attributes }, longTermKey(username, realm, password))
}

/** A new packet each time: an Allocate with a wrong password where there is a challenge to answer, a wish for a forbidden peer where there is an allocation, or what strangers send. */
function packet ({ challenge, isIn }: Attacker): Buffer {
  if (isIn && challenge !== null) return signed(METHOD.createPermission, challenge, id => xorAddress(ATTRIBUTE.xorPeerAddress, { address: '10.0.0.1', port: 0 }, id))
  if (kind !== 'strangers' && challenge !== null) return signed(METHOD.allocate, challenge, requestedTransportUdp)
  const turn = sent % 3
  return turn === 0 ? request(METHOD.binding) : turn === 1 ? randomBytes(100) : request(METHOD.allocate, [requestedTransportUdp()])
}

function attacker (): Attacker {
  const socket = createSocket({ type: isIPv6(host) ? 'udp6' : 'udp4', recvBufferSize: 1_048_576 })
  const made: Attacker = { socket, challenge: null, isIn: false }
  socket.on('error', () => {})
  socket.on('message', bytes => {
    answered++
    const answer = decode(bytes)
    const [realm, nonce] = [readText(answer, ATTRIBUTE.realm), readText(answer, ATTRIBUTE.nonce)]
    if (realm !== undefined && nonce !== undefined) made.challenge = { realm, nonce }
    if (answer.method === METHOD.allocate && answer.class === CLASS.success) made.isIn = true
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
