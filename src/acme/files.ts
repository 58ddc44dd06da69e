/** What is kept of certificates: the account's key, and one file with the current certificate and its key, each replaced as a whole. */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { problemOf, type Pair } from '../tls/pair.ts'

/** Says in the file itself which authority it is from: another one is asked at once where that has changed. */
const AUTHORITY = 'Authority: '

export class CertificateFile {
  readonly #file: string

  constructor (file: string) {
    this.#file = file
  }

  /** Null where there is none that could be served. */
  read (): { pair: Pair, authority: string } | null {
    try {
      const text = readFileSync(this.#file, 'utf8')
      const at = text.indexOf('-----BEGIN CERTIFICATE')
      const pair = { key: text.slice(0, at), cert: text.slice(at) }
      const authority = text.split('\n').find(line => line.startsWith(AUTHORITY))?.slice(AUTHORITY.length) ?? ''
      return at === -1 || problemOf(pair) !== null ? null : { pair, authority }
    } catch {
      return null
    }
  }

  /** Throws where the disk takes nothing. */
  write ({ cert, key }: Pair, authority: string): void {
    // What stands outside of BEGIN and END nobody reads as PEM.
    replaceFile(this.#file, `${AUTHORITY}${authority}\n${key.trim()}\n${cert.trim()}\n`)
  }
}

/** The account's key; null where there is none yet, or it was lost. */
export function readAccountKey (file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}

/** Whoever reads the file meanwhile, or finds it after a crash, has all of the old text or all of the new one. */
export function replaceFile (file: string, text: string): void {
  const directory = dirname(file)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const next = `${file}.next`
  rmSync(next, { force: true })
  const handle = openSync(next, 'wx', 0o600)
  try {
    writeSync(handle, text)
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
