/** Does the public name lead clients to the relay? */
import { isIP, isIPv6, SocketAddress } from 'node:net'
import { finding, type Finding } from '../../protocol/findings.ts'
import { isDenied } from '../denied-peers.ts'
import type { DoctorSubject, DoctorWorld } from './subject.ts'

type Needs = Pick<DoctorWorld, 'resolve4' | 'resolve6' | 'lookUp'>
type Answer = { addresses: string[], trouble: string | null }

/** What DNS says where there is no such name, or none of that family: an answer, and no trouble. */
const NONE = ['ENOTFOUND', 'ENODATA']

export async function examineName (subject: DoctorSubject, world: Needs): Promise<Finding[]> {
  const { host } = subject
  const about = `relay ${subject.id}, ${host === '' ? 'public name' : host}`
  if (host === '') return [finding('name-resolves', about, 'unknown', 'The public name or address is not known yet.')]
  if (isIP(host) !== 0) return [finding('name-resolves', about, 'warning', `URLs hold the address ${host}, and no name: no public authority certifies it for TLS, and clients cannot follow when it changes.`, 'Give the machine a name in DNS, and set TURNPIKE_PUBLIC_HOST to it.')]
  const [four, six] = await Promise.all([answerOf(world.resolve4(host)), answerOf(world.resolve6(host))])
  const all = [...four.addresses, ...six.addresses]
  if (all.length === 0) return [await unresolved(subject, about, four.trouble ?? six.trouble, world)]
  return [resolved(subject, about, all), ...agreement(subject, about, four.addresses, six.addresses), ...ipv6(subject, about, six.addresses)]
}

async function answerOf (question: Promise<string[]>): Promise<Answer> {
  try {
    return { addresses: await question, trouble: null }
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException
    return { addresses: [], trouble: NONE.includes(code) ? null : code || message }
  }
}

async function unresolved ({ host, peers, publicIp }: DoctorSubject, about: string, trouble: string | null, { lookUp }: Needs): Promise<Finding> {
  const cure = `At your DNS provider, make an A record of ${host} with ${publicIp ?? 'the public address of the relay'}.`
  const local = await answerOf(lookUp(host))
  if (local.addresses.length > 0) return finding('name-resolves', about, peers === 'internet' ? 'failed' : 'warning', `Only this machine knows ${host} (as ${local.addresses.join(', ')}, from its own files or network); DNS does not.`, cure)
  if (trouble !== null) return finding('name-resolves', about, 'unknown', `DNS could not be asked for ${host}: ${trouble}.`, 'See that this machine has a DNS server that answers (/etc/resolv.conf).')
  return finding('name-resolves', about, 'failed', `DNS knows no address of ${host}.`, cure)
}

function resolved ({ host, publicIp, publicIp6, peers }: DoctorSubject, about: string, addresses: string[]): Finding {
  const inner = addresses.filter(address => isDenied(address, 'internet'))
  if (inner.length === 0) return finding('name-resolves', about, 'ok', `${host} is ${addresses.join(', ')}.`)
  if (inner.every(address => isSame(address, publicIp) || isSame(address, publicIp6))) return finding('name-resolves', about, peers === 'internet' ? 'warning' : 'ok', `${host} is ${inner.join(', ')}, an address that only clients in the same network reach.`, peers === 'internet' ? 'Nothing, where all clients are in that network; else give the relay a public address, and the name with it.' : null)
  return finding('name-resolves', about, 'failed', `${host} is ${inner.join(', ')}, an address that is not public.`, `Set the record of ${host} to ${publicIp ?? 'the public address of the relay'}. Where only the DNS of this network answers so, "dig ${host} @1.1.1.1" shows what others get.`)
}

function agreement ({ host, publicIp, publicIp6 }: DoctorSubject, about: string, four: string[], six: string[]): Finding[] {
  const known = [publicIp, publicIp6].filter(address => address !== null && isIP(address) !== 0) as string[]
  if (known.length === 0) return [finding('name-agrees', about, 'unknown', 'The public address of the relay is not known, so nothing can be compared.')]
  return known.flatMap(address => {
    const answered = isIPv6(address) ? six : four
    const record = isIPv6(address) ? 'AAAA' : 'A'
    if (!answered.some(other => isSame(other, address))) return [finding('name-agrees', about, 'failed', `${host} ${answered.length === 0 ? `has no ${record} record` : `is ${answered.join(', ')}`}, and the public address of the relay is ${address}.`, `Set the ${record} record of ${host} to ${address}; or, where the record is right, set TURNPIKE_RELAY_EXTERNAL_IP to it.`)]
    if (answered.length > 1) return [finding('name-agrees', about, 'warning', `${host} is ${address}, the public address of the relay, and others too: ${answered.filter(other => !isSame(other, address)).join(', ')}.`, `Take the others out of the ${record} records of ${host}: each relay needs a name of its own.`)]
    return [finding('name-agrees', about, 'ok', `${host} is ${address}, the public address of the relay.`)]
  })
}

function ipv6 ({ host, listenIp, listenIp6, driver }: DoctorSubject, about: string, six: string[]): Finding[] {
  if (six.length === 0 || driver === 'external') return []
  if (listenIp6 !== null || isIPv6(listenIp ?? '')) return [finding('name-ipv6', about, 'ok', `${host} has an IPv6 address, and the relay listens on IPv6.`)]
  return [finding('name-ipv6', about, 'warning', `${host} has the IPv6 address ${six.join(', ')}, and the relay does not listen on IPv6.`, `Take the AAAA record of ${host} away, or have the relay listen on IPv6.`)]
}

/** Addresses are written in several ways. */
function isSame (a: string, b: string | null): boolean {
  if (b === null || isIP(a) !== isIP(b)) return false
  const plain = (address: string): string => new SocketAddress({ address, family: isIPv6(address) ? 'ipv6' : 'ipv4' }).address
  return isIP(a) !== 0 && plain(a) === plain(b)
}
