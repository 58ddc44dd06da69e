/**
 * A process of its own for as long as one order takes: acme-client and what it needs take 40 MB, which a process that goes on would never
 * give back, and set defaults for everybody in theirs. Speaks to us over Node's channel between processes (order-messages.ts).
 */
import * as x509 from '@peculiar/x509'
import { axios, Client, crypto as requests } from 'acme-client'
import { Agent } from 'node:https'
import { rootCertificates } from 'node:tls'
import type { Challenge, Failure, FromProcess, Order, Said, ToProcess } from './order-messages.ts'

const REQUEST_TIMEOUT_MS = 30_000
const POLLING = { backoffMin: 500, backoffMax: 5000 }
/** What acme-client says when it has asked often enough how far the authority is. */
const STILL_PENDING = 'Operation is pending or processing'
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const PLACEHOLDER_MS = 3650 * 86_400_000
const TYPE = 'urn:ietf:params:acme:error:'

/** What the authority refused in this process' only order. */
const said: Said[] = []
let retryAfterSeconds: number | null = null
/** The last request came to nothing. */
let isAway = false
const asked = new Map<number, (problem: string | null) => void>()

function send (message: FromProcess): void {
  process.send?.(message)
}

/** Has us show something to the authority, or take it away. */
async function ask (present: boolean, challenge: Challenge): Promise<void> {
  const id = asked.size
  const problem = await new Promise<string | null>(resolve => {
    asked.set(id, resolve)
    send({ ask: id, present, challenge })
  })
  if (problem !== null) throw new Error(problem)
}

/** Every answer is handed on, whatever its status: the library would wait and repeat by itself, without a bound, and tell only a part of what was said. */
function listen (): void {
  axios.interceptors.response.clear()
  axios.interceptors.response.use(response => {
    isAway = false
    return response
  }, error => {
    const { response } = error as { response?: { status: number, data: unknown, headers: Record<string, string | undefined> } }
    isAway = response === undefined || response.status >= 500
    if (response === undefined) throw error
    remember(response)
    return response
  })
}

type Problem = { type?: string, detail?: string, subproblems?: Problem[] }

function remember ({ status, data, headers }: { status: number, data: unknown, headers: Record<string, string | undefined> }): void {
  if (typeof data !== 'object' || data === null) return
  const { error, ...body } = data as Problem & { error?: Problem }
  const problem = status >= 400 ? body : error
  if (problem?.detail === undefined || problem.type === `${TYPE}badNonce`) return
  const after = headers['retry-after']
  if (status >= 400 && after !== undefined) retryAfterSeconds = secondsOf(after)
  for (const { type = '', detail = '' } of [problem, ...problem.subproblems ?? []]) {
    if (!said.some(other => other.detail === detail)) said.push({ type: type.replace(TYPE, ''), detail, status })
  }
}

/** RFC 9110 §10.2.3: seconds or a date. */
function secondsOf (text: string): number | null {
  const seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000
  return Number.isFinite(seconds) ? Math.max(0, Math.ceil(seconds)) : null
}

async function order ({ directory, ca, accountKey, email, names, challenge: kind, polls }: Order): Promise<{ cert: string, key: string }> {
  listen()
  axios.defaults.timeout = REQUEST_TIMEOUT_MS
  if (ca !== null) axios.defaults.httpsAgent = new Agent({ ca: [...rootCertificates, ca] })
  const client = new Client({ directoryUrl: directory, accountKey, backoffAttempts: polls, ...POLLING })
  await useAccount(client, email)
  const [key, csr] = await requests.createCsr({ altNames: [...names] }, await requests.createPrivateEcdsaKey('P-256'))
  const cert = await client.auto({
    csr,
    // We look ourselves, before anybody is asked.
    skipChallengeVerification: true,
    challengePriority: [kind],
    challengeCreateFn: async (authorization, challenge, value) => {
      if (challenge.type !== kind) throw new Error(`the authority does not offer ${kind} for ${authorization.identifier.value}`)
      await ask(true, { name: authorization.identifier.value, token: challenge.token, value })
    },
    challengeRemoveFn: async (authorization, challenge, value) => await ask(false, { name: authorization.identifier.value, token: challenge.token, value }),
  })
  return { cert, key: key.toString() }
}

/** The account of the key, or a new one. Left to itself, the library changes an account that exists by nothing, which authorities refuse. */
async function useAccount (client: Client, email: string | null): Promise<void> {
  try {
    await client.createAccount({ onlyReturnExisting: true })
  } catch (error) {
    if (said.at(-1)?.type !== 'accountDoesNotExist') throw error
    said.length = 0
    await client.createAccount({ termsOfServiceAgreed: true, ...(email === null ? {} : { contact: [`mailto:${email}`] }) })
  }
}

/** Signed by its own key and for no name that anybody asks for. */
async function placeholder (organisation: string): Promise<{ cert: string, key: string }> {
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=placeholder.invalid, O=${organisation}`,
    keys,
    signingAlgorithm: ALGORITHM,
    notBefore: new Date(Date.now() - 86_400_000),
    notAfter: new Date(Date.now() + PLACEHOLDER_MS),
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'placeholder.invalid' }])],
  })
  const key = x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY')
  return { cert: certificate.toString('pem'), key }
}

async function work (task: ToProcess): Promise<void> {
  if ('answered' in task) {
    asked.get(task.answered)?.(task.problem)
    return
  }
  try {
    send({ done: 'order' in task ? await order(task.order) : await placeholder(task.placeholder.organisation) })
  } catch (error) {
    const message = wordsOf(error)
    send({ failed: { kind: isAway ? 'unreachable' : message === STILL_PENDING ? 'pending' : 'strange', message, said, retryAfterSeconds } satisfies Failure })
  }
  process.disconnect()
}

/** Node has several errors in one where it tried several addresses, and no words for them together. */
function wordsOf (error: unknown): string {
  const { message, code = '' } = error as NodeJS.ErrnoException
  return message === '' ? code : message
}

// Whoever asked is gone.
process.once('disconnect', () => process.exit())
process.on('message', (task: ToProcess) => { work(task).catch(() => process.exit(1)) })
