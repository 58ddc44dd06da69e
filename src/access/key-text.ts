/** What keys look like: `tpk_<id>_<secret><checksum>`. The checksum catches typos, and scanners of leaked secrets their false alarms, before anything is looked up. */
import { createHash, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'

export type KeyKind = 'secret' | 'publishable'
/** Publishable keys have a prefix of their own: scanners need not be alarmed by them. */
const PREFIXES: Readonly<Record<KeyKind, string>> = { secret: 'tpk', publishable: 'tpp' }
const SECRET_BYTES = 24
const SECRET_CHARACTERS = 32
const CHECKSUM_CHARACTERS = 7
const FORM = /^(?:(tpk|tpp)_([0-9a-f]{12})|tpa)_([A-Za-z0-9_-]+)$/

/** A new key and its id. */
export function newKeyText (kind: KeyKind): { id: string, text: string } {
  const id = randomBytes(6).toString('hex')
  return { id, text: withChecksum(`${PREFIXES[kind]}_${id}_${randomBytes(SECRET_BYTES).toString('base64url')}`) }
}

export function newAdminKeyText (): string {
  return withChecksum(`tpa_${randomBytes(SECRET_BYTES).toString('base64url')}`)
}

/** The id in a key of a project; null in one of another form. `hasTypo`: its checksum does not fit. Keys of version 0.1 have none. */
export function readKeyText (text: string): { id: string | null, hasTypo: boolean } {
  const [, , id = null, secret = ''] = FORM.exec(text) ?? []
  const hasTypo = secret.length === SECRET_CHARACTERS + CHECKSUM_CHARACTERS && withChecksum(text.slice(0, -CHECKSUM_CHARACTERS)) !== text
  return { id, hasTypo }
}

export function digestOf (text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** CRC-32 in base 36, always seven characters. */
function withChecksum (text: string): string {
  return `${text}${crc32(text).toString(36).padStart(CHECKSUM_CHARACTERS, '0')}`
}
