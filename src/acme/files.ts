/** What is kept of certificates: the account's key, and one file with the current certificate and its key, each replaced as a whole. */
import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { TurnpikeError } from '../protocol/errors.ts'
import { problemOf, type Pair } from '../tls/pair.ts'

/** Say in the file itself which authority it is from, because another one is asked at once where that has changed, and when it came. */
const AUTHORITY = 'Authority: '
const ISSUED = 'Issued: '

export type Kept = { pair: Pair, authority: string, /** Unix seconds; 0 where that is not known. */ issuedAt: number }

export class CertificateFile {
  readonly #file: string

  constructor (file: string) {
    this.#file = file
  }

  /** Null where there is none that could be served. */
  read (): Kept | null {
    const text = readText(this.#file) ?? ''
    const at = text.indexOf('-----BEGIN CERTIFICATE')
    const pair = { key: text.slice(0, at), cert: text.slice(at) }
    if (at === -1 || problemOf(pair) !== null) return null
    const said = (what: string): string => text.split('\n').find(line => line.startsWith(what))?.slice(what.length) ?? ''
    return { pair, authority: said(AUTHORITY), issuedAt: Number(said(ISSUED)) || 0 }
  }

  /** Throws data-dir-unwritable. */
  write ({ pair: { cert, key }, authority, issuedAt }: Kept): void {
    // What stands outside of BEGIN and END nobody reads as PEM.
    replaceFile(this.#file, `${AUTHORITY}${authority}\n${ISSUED}${issuedAt}\n${key.trim()}\n${cert.trim()}\n`)
  }
}

/** The account's key. One that was lost, or is no key any more, is made anew: a new account. Throws data-dir-unwritable. */
export function accountKeyIn (file: string): string {
  const kept = readText(file)
  if (kept !== null && isKey(kept)) return kept
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256', privateKeyEncoding: { type: 'pkcs8', format: 'pem' }, publicKeyEncoding: { type: 'spki', format: 'pem' } })
  replaceFile(file, privateKey)
  return privateKey
}

function isKey (text: string): boolean {
  try {
    return createPrivateKey(text).type === 'private'
  } catch {
    return false
  }
}

/** Null where it cannot be read. */
export function readText (file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}

/** Whoever reads the file meanwhile, or finds it after a crash, has all of the old text or all of the new one. Throws data-dir-unwritable. */
export function replaceFile (file: string, text: string): void {
  try {
    replace(file, text)
  } catch (error) {
    throw new TurnpikeError('data-dir-unwritable', `${file} cannot be written: ${(error as Error).message}`, { cause: error })
  }
}

function replace (file: string, text: string): void {
  const directory = dirname(file)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const next = `${file}.next`
  rmSync(next, { force: true })
  const handle = openSync(next, 'wx', 0o600)
  try {
    // Not writeSync, which writes as much as there is room for, and says no more of it than how much.
    writeFileSync(handle, text)
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
  renameSync(next, file)
  const parent = openSync(directory, 'r')
  try {
    fsyncSync(parent)
  } finally {
    closeSync(parent)
  }
}
