/** The settings one by one, read off the schema: name of the variable, kind, default, and what is accepted, in words. */
import { isIP } from 'node:net'
import { ConfigSchema } from './schema.ts'

export type Setting = {
  /** Where it stands in `Config`, such as ['relay', 'minPort']. */
  path: readonly string[]
  /** Its environment variable, such as TURNPIKE_RELAY_MIN_PORT. */
  variable: string
  kind: 'text' | 'integer' | 'list' | 'choice'
  secret: boolean
  description: string
  fallback: string | number | readonly string[] | undefined
  /** What stands in the place of a default that differs from machine to machine, in words. */
  computed: string | undefined
  /** What a value must be, in words: "an integer from 1 to 65535". */
  expected: string
  /** Takes a value that has the right JSON type. */
  accepts (value: unknown): boolean
}

/** The parts of a leaf of the schema that are read here. */
type Leaf = {
  type?: string
  anyOf?: { const: string }[]
  items?: Leaf
  minLength?: number
  maxLength?: number
  minimum?: number
  maximum?: number
  default?: string | number | string[]
  computed?: string
  description?: string
  secret?: boolean
  accepts?: keyof typeof FORMS
}

const HOST_NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i

/** To try it out: the compose file asks for a domain, and this one is none. */
export const NO_DOMAIN = 'localhost'

/** Kinds of text with a form of their own. */
const FORMS = {
  ip: { words: 'an IP address', test: (text: string) => isIP(text) !== 0 },
  ip6: { words: 'an IPv6 address', test: (text: string) => isIP(text) === 6 },
  name: { words: '1 to 32 characters out of a-z, 0-9 and -', test: (text: string) => /^[a-z0-9-]{1,32}$/.test(text) },
  host: { words: 'a host name or an IPv4 address (not an IPv6 address: browsers and libraries disagree on it in ICE URLs)', test: (text: string) => isIP(text) === 4 || (HOST_NAME.test(text) && !/^[\d.]+$/.test(text)) },
  domain: { words: 'a host name with a dot in it, such as turnpike.example.org', test: isDomain },
  'own-domain': { words: 'a host name with a dot in it, such as turnpike.example.org, or localhost', test: (text: string) => text === NO_DOMAIN || isDomain(text) },
  email: { words: 'an e-mail address', test: (text: string) => /^[^\s@,]+@[^\s@,]+$/.test(text) },
  directory: { words: 'letsencrypt, letsencrypt-staging, off, or an https URL', test: (text: string) => ['letsencrypt', 'letsencrypt-staging', 'off'].includes(text) || isHttpsUrl(text) },
  'host-port': { words: 'host:port', test: isHostAndPort },
  network: { words: 'an IP address or a CIDR range such as 10.0.0.0/8', test: isNetwork },
} as const

/** Every setting, in the order of the schema. */
export function listSettings (): Setting[] {
  return walk(ConfigSchema as unknown as { properties: Record<string, Leaf> }, [])
}

function walk (node: { properties: Record<string, Leaf> }, path: readonly string[]): Setting[] {
  return Object.entries(node.properties).flatMap(([key, child]) => {
    const here = [...path, key]
    if (child.type === 'object') return walk(child as unknown as { properties: Record<string, Leaf> }, here)
    return [toSetting(here, child)]
  })
}

function toSetting (path: readonly string[], leaf: Leaf): Setting {
  return {
    path,
    variable: variableOf(path),
    kind: kindOf(leaf),
    secret: leaf.secret === true,
    description: leaf.description ?? '',
    fallback: leaf.default,
    computed: leaf.computed,
    expected: expectedOf(leaf),
    accepts: value => isAccepted(leaf, value),
  }
}

/** relay.minPort → TURNPIKE_RELAY_MIN_PORT */
export function variableOf (path: readonly string[]): string {
  return ['turnpike', ...path].map(word => word.replace(/[A-Z]/g, letter => `_${letter}`).toUpperCase()).join('_')
}

function kindOf (leaf: Leaf): Setting['kind'] {
  if (leaf.anyOf !== undefined) return 'choice'
  if (leaf.type === 'integer') return 'integer'
  return leaf.type === 'array' ? 'list' : 'text'
}

function expectedOf (leaf: Leaf): string {
  if (leaf.anyOf !== undefined) return `one of ${leaf.anyOf.map(choice => choice.const).join(', ')}`
  if (leaf.type === 'integer') return `an integer from ${leaf.minimum} to ${leaf.maximum}`
  if (leaf.type === 'array') return `a list separated by commas, each ${leaf.items === undefined ? 'a text' : expectedOf(leaf.items)}`
  if (leaf.accepts !== undefined) return FORMS[leaf.accepts].words
  return leaf.minLength !== undefined && leaf.minLength > 1 ? `at least ${leaf.minLength} characters` : 'a text that is not empty'
}

function isAccepted (leaf: Leaf, value: unknown): boolean {
  if (leaf.anyOf !== undefined) return leaf.anyOf.some(choice => choice.const === value)
  if (leaf.type === 'integer') return typeof value === 'number' && Number.isInteger(value) && value >= (leaf.minimum ?? -Infinity) && value <= (leaf.maximum ?? Infinity)
  if (leaf.type === 'array') return Array.isArray(value) && value.every(item => isAccepted(leaf.items ?? {}, item))
  // Control characters would end a line of turnserver.conf, and a header.
  if (typeof value !== 'string' || /\p{Cc}/u.test(value)) return false
  const form = leaf.accepts === undefined ? undefined : FORMS[leaf.accepts]
  return value.length >= (leaf.minLength ?? 0) && value.length <= (leaf.maxLength ?? 4096) && (form === undefined || form.test(value))
}

function isDomain (text: string): boolean {
  // Of digits and dots alone it would be an address.
  return HOST_NAME.test(text) && text.includes('.') && !/^[\d.]+$/.test(text)
}

function isHttpsUrl (text: string): boolean {
  return URL.canParse(text) && new URL(text).protocol === 'https:'
}

function isHostAndPort (text: string): boolean {
  const [, host = '', port = ''] = /^(.+):(\d{1,5})$/.exec(text) ?? []
  return (isIP(host) === 4 || HOST_NAME.test(host)) && Number(port) >= 1 && Number(port) <= 65535
}

function isNetwork (text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/')
  const family = isIP(address)
  if (family === 0 || rest.length > 0) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))
}
