/** What a JSON Schema validator finds, in words that say what is expected. */

type Violation = { keyword: string, params: unknown, message: string }

/** Patterns that schemas here use, and what they mean. */
const PATTERNS: Readonly<Record<string, string>> = {
  '^https?://[A-Za-z0-9.\\[\\]:-]+$': 'must be a web origin such as https://app.example, without a path and without a slash at its end',
  '^https?://[^\\s]+$': 'must be an address that begins with https:// or http://',
  '^[A-Za-z0-9_-]+$': 'must be of A-Z, a-z, 0-9, _ and -',
  '^[A-Za-z0-9_-]{1,64}$': 'must be 1 to 64 characters out of A-Z, a-z, 0-9, _ and -',
}

export function inWords ({ keyword, params, message }: Violation): string {
  const { type, allowedValues, pattern } = params as { type?: unknown, allowedValues?: unknown[], pattern?: unknown }
  if (keyword === 'type') return `must be ${type === 'array' ? 'a list' : article(String(type))}`
  if (keyword === 'enum') return `must be one of ${(allowedValues ?? []).join(', ')}`
  if (keyword === 'pattern') return PATTERNS[String(pattern)] ?? message
  return message
}

function article (type: string): string {
  return `${/^[aeiou]/.test(type) ? 'an' : 'a'} ${type}`
}
