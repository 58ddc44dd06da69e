/** Members of a JSON object, found in its text, so that the rest of it goes on as the bytes it came in (RFC 8259). */

/** Where a value begins and ends in the text. */
type Span = { start: number, end: number }

const QUOTE = 0x22
const BACKSLASH = 0x5C
const OPEN = new Set([0x7B, 0x5B])
const CLOSE = new Set([0x7D, 0x5D])
const COMMA = 0x2C
const COLON = 0x3A
const WHITE = new Set([0x20, 0x09, 0x0A, 0x0D])

/**
 * The text with another value for this member. Every member of that name is replaced: JSON.parse takes the last one, other
 * readers take the first. The text is known to be a valid JSON object.
 */
export function replaceMember (text: string, name: string, value: string): string {
  let replaced = ''
  let copied = 0
  for (const { start, end } of membersNamed(text, name)) {
    replaced += text.slice(copied, start) + value
    copied = end
  }
  return replaced + text.slice(copied)
}

/** The text of the last member of this name, the one that JSON.parse takes; undefined where there is none. The text is known to be a valid JSON object. */
export function lastMember (text: string, name: string): string | undefined {
  const span = membersNamed(text, name).at(-1)
  return span === undefined ? undefined : text.slice(span.start, span.end)
}

function membersNamed (text: string, name: string): Span[] {
  const found: Span[] = []
  let depth = 0
  let key = ''
  let valueStart = -1
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) {
      const end = endOfString(text, at)
      if (depth === 1 && valueStart === -1) key = text.slice(at, end + 1)
      at = end
    } else if (code === COLON && depth === 1 && valueStart === -1) {
      valueStart = at + 1
    } else if (OPEN.has(code)) {
      depth++
    } else if ((code === COMMA && depth === 1) || (CLOSE.has(code) && --depth === 0)) {
      if (valueStart !== -1 && isNamed(key, name)) found.push(trimmed(text, valueStart, at))
      valueStart = -1
    }
  }
  return found
}

/** A key may be written with escapes: "\u0069d" is "id" to every reader. */
function isNamed (key: string, name: string): boolean {
  return key.includes('\\') ? JSON.parse(key) === name : key.length === name.length + 2 && key.startsWith(name, 1)
}

function trimmed (text: string, from: number, to: number): Span {
  let start = from
  let end = to
  while (WHITE.has(text.charCodeAt(start))) start++
  while (WHITE.has(text.charCodeAt(end - 1))) end--
  return { start, end }
}

/** Where the string that begins here ends: the next quote with an even number of backslashes before it. */
function endOfString (text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); ; end = text.indexOf('"', end + 1)) {
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return end
  }
}
