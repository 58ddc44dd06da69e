/** Do the names of a certificate lead here? Looked at before the authority is asked, which takes only so many questions in vain. */
import { lookup } from 'node:dns/promises'
import { request } from 'node:http'
import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import { TurnpikeError } from '../protocol/errors.ts'
import type { HttpChallenge } from './http-challenge.ts'

export type NamesNeeds = {
  /** The addresses of a name; none where it has none. */
  resolve: (name: string) => Promise<readonly string[]>
  /** What others reach this machine at, as far as it is known; else ''. */
  publicAddress: () => string
  /** Where http-01 is used. */
  challenge: Pick<HttpChallenge, 'set' | 'remove'> | null
}
export type Chosen = { names: string[], /** Why others of them are left out, in sentences. */ leftOut: string[] }

const TIMEOUT_MS = 5000
const MOST_BYTES = 1000

/** What this machine itself takes a name for. */
export async function lookUp (name: string): Promise<string[]> {
  return await lookup(name, { all: true }).then(found => found.map(({ address }) => address), () => [])
}

/** The names to order a certificate for: the first one, and those of the others that lead here. Throws acme-name-elsewhere where the first does not. */
export async function chooseNames ([domain = '', ...others]: readonly string[], needs: NamesNeeds): Promise<Chosen> {
  const problem = await problemOf(domain, needs)
  if (problem !== null) throw new TurnpikeError('acme-name-elsewhere', problem)
  const found = await Promise.all(others.map(async name => ({ name, problem: await problemOf(name, needs) })))
  return {
    names: [domain, ...found.filter(other => other.problem === null).map(({ name }) => name)],
    leftOut: found.flatMap(other => (other.problem === null ? [] : [other.problem])),
  }
}

/** In a sentence, with what to do. */
async function problemOf (name: string, { resolve, publicAddress, challenge }: NamesNeeds): Promise<string | null> {
  // For dns-01 the name need not lead anywhere: that it is ours is seen by the record.
  if (challenge === null) return null
  const addresses = await resolve(name)
  const here = publicAddress()
  const record = `set its A record to ${here === '' ? 'the public address of this machine' : here}`
  if (addresses.length === 0) return `${name} has no address in DNS: ${record}`
  if (addresses.some(address => address === here || isOwn(address)) || await leadsHere(name, challenge)) return null
  return `${name} leads to ${addresses.slice(0, 4).join(', ')}, and http://${name}/ is not answered by this Turnpike there: ${record}, and let TCP port 80 in`
}

function isOwn (address: string): boolean {
  // Debian's /etc/hosts has the machine's own name at 127.0.1.1.
  if (isIP(address) === 4 && address.startsWith('127.')) return true
  return Object.values(networkInterfaces()).flatMap(list => list ?? []).some(own => own.address === address)
}

/** Asks port 80 of the name for something that only we know: with a NAT, a proxy or a second address in between, addresses say little. */
async function leadsHere (name: string, challenge: NonNullable<NamesNeeds['challenge']>): Promise<boolean> {
  const token = `turnpike-${crypto.randomUUID()}`
  const value = crypto.randomUUID()
  challenge.set(token, value)
  try {
    return await get(name, `/.well-known/acme-challenge/${token}`) === value
  } catch {
    return false
  } finally {
    challenge.remove(token)
  }
}

async function get (host: string, path: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    const asking = request({ host, port: 80, path, timeout: TIMEOUT_MS, signal: AbortSignal.timeout(TIMEOUT_MS) }, response => {
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
