/** Reading JSON that a stranger wrote: member by member, nothing believed, nothing kept that was not asked for. */

/** The member of an object, or undefined. Own members alone: `__proto__` and its like are nothing. */
export function member (value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((node, name) => (isObject(node) && Object.hasOwn(node, name) ? node[name] : undefined), value)
}

export function isObject (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Where the first of two values says something else than the second, as a path of it ("HostConfig.Privileged"); null where they say the same. */
export function firstDifference (sent: unknown, made: unknown, path = ''): string | null {
  const isBoth = (test: (value: unknown) => boolean): boolean => test(sent) && test(made)
  if (!isBoth(isObject) && !isBoth(Array.isArray)) return sent === made ? null : path
  const [one, other] = [sent, made] as [Record<string, unknown>, Record<string, unknown>]
  for (const name of new Set([...Object.keys(one), ...Object.keys(other)])) {
    const here = path === '' ? name : `${path}.${name}`
    if (!Object.hasOwn(one, name) || !Object.hasOwn(other, name)) return here
    const found = firstDifference(one[name], other[name], here)
    if (found !== null) return found
  }
  return null
}
