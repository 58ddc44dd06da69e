/** Do the names of a certificate lead here? Looked at before the authority is asked, which takes only so many questions in vain. */
import { lookup } from 'node:dns/promises'
import { request } from 'node:http'
import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import { TurnpikeError, type ErrorCode } from '../protocol/errors.ts'
import type { HttpChallenge } from './http-challenge.ts'

export type NamesNeeds = {
  /** The addresses of a name; none where it has none. Throws where DNS does not answer. */
  resolve: (name: string) => Promise<readonly string[]>
  /** What others reach this machine at, as far as it is known; else ''. */
  publicAddress: () => string
  /** Where http-01 is used. */
  challenge: Pick<HttpChallenge, 'set' | 'remove'> | null
}
export type Chosen = { names: string[], /** Why others of them are left out, in sentences. */ leftOut: string[], /** Why the authority may not see what we see, in sentences. */ doubts: string[] }

const TIMEOUT_MS = 5000
const MOST_BYTES = 1000
/** What getaddrinfo says of a name that is not there, other than of a resolver that is not. */
const NO_SUCH_NAME = 'ENOTFOUND'

/** What this machine itself takes a name for. Throws where DNS does not answer. */
export async function lookUp (name: string): Promise<string[]> {
  try {
    return (await lookup(name, { all: true })).map(({ address }) => address)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === NO_SUCH_NAME) return []
    throw error
  }
}

/** The names to order a certificate for: the first one, and those of the others that lead here. Throws acme-name-elsewhere or dns-unreachable where the first does not. */
export async function chooseNames ([domain = '', ...others]: readonly string[], needs: NamesNeeds): Promise<Chosen> {
  // For dns-01 a name need not lead anywhere: that it is ours is seen by the record.
  if (needs.challenge === null) return { names: [domain, ...others], leftOut: [], doubts: [] }
  const { challenge } = needs
  const look = async (name: string): Promise<Look> => await lookAt(name, { ...needs, challenge })
  const first = await look(domain)
  if (first.problem !== null) throw first.problem
  const found = await Promise.all(others.map(async name => ({ name, ...await look(name) })))
  return {
    names: [domain, ...found.filter(({ problem }) => problem === null).map(({ name }) => name)],
    leftOut: found.flatMap(({ problem }) => (problem === null ? [] : [problem.message])),
    doubts: [...first.doubts, ...found.flatMap(({ doubts }) => doubts)],
  }
}

type Look = { problem: TurnpikeError | null, doubts: string[] }

/** In sentences, with what to do. */
async function lookAt (name: string, { resolve, publicAddress, challenge }: NamesNeeds & { challenge: NonNullable<NamesNeeds['challenge']> }): Promise<Look> {
  const fails = (code: ErrorCode, reason: string): Look => ({ problem: new TurnpikeError(code, reason), doubts: [] })
  let addresses: readonly string[]
  try {
    addresses = await resolve(name)
  } catch (error) {
    return fails('dns-unreachable', `${name} could not be looked up: ${(error as Error).message}`)
  }
  const here = publicAddress()
  const record = `set its A record to ${here === '' ? 'the public address of this machine' : here}`
  if (addresses.length === 0) return fails('acme-name-elsewhere', `${name} has no address in DNS: ${record}`)
  if (addresses.some(address => address === here || isOwn(address))) return { problem: null, doubts: await doubtsOf(name, addresses, challenge) }
  if (await leadsHere(name, name, challenge)) return { problem: null, doubts: [] }
  return fails('acme-name-elsewhere', `${name} leads to ${addresses.slice(0, 4).join(', ')}, and http://${name}/ is not answered by this Turnpike there: ${record}, and let TCP port 80 in`)
}

/** An authority prefers IPv6: an address of another machine beside ours is the one that is asked. No more than a doubt, because it may be ours by ways that we do not see. */
async function doubtsOf (name: string, addresses: readonly string[], challenge: NonNullable<NamesNeeds['challenge']>): Promise<string[]> {
  const others = addresses.filter(address => isIP(address) === 6 && !isOwn(address)).slice(0, 4)
  const looked = await Promise.all(others.map(async address => ({ address, isHere: await leadsHere(name, address, challenge) })))
  return looked.filter(({ isHere }) => !isHere).map(({ address }) => `${name} has an AAAA record too, ${address}, where this Turnpike does not answer on port 80: the authority may ask there, so remove it, or set it to an address of this machine`)
}

function isOwn (address: string): boolean {
  // Debian's /etc/hosts has the machine's own name at 127.0.1.1.
  if (isIP(address) === 4 && address.startsWith('127.')) return true
  return Object.values(networkInterfaces()).flatMap(list => list ?? []).some(own => own.address === address)
}

/** Asks port 80 at an address of the name, or at any, for something that only we know: with a NAT, a proxy or a second address in between, addresses say little. */
async function leadsHere (name: string, at: string, challenge: NonNullable<NamesNeeds['challenge']>): Promise<boolean> {
  const token = `turnpike-${crypto.randomUUID()}`
  const value = crypto.randomUUID()
  challenge.set(token, value)
  try {
    return await get(name, at, `/.well-known/acme-challenge/${token}`) === value
  } catch {
    return false
  } finally {
    challenge.remove(token)
  }
}

async function get (name: string, host: string, path: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    const asking = request({ host, port: 80, path, headers: { host: name }, timeout: TIMEOUT_MS, signal: AbortSignal.timeout(TIMEOUT_MS) }, response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
        if (text.length > MOST_BYTES) response.destroy(new Error('too long'))
      })
      response.once('end', () => resolve(text))
      response.once('error', reject)
    })
    asking.once('error', reject)
    asking.end()
  })
}
