/** `compose/.env`: the settings of a compose deployment, for its owner alone. What stands there stays; what is needed is added. */
import { existsSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs'

const HEAD = '# Settings of this deployment; turnpike up made this file. All there are, explained: .env.example.\n'

export function readEnvFile (file: string): Record<string, string> {
  if (!existsSync(file)) return {}
  const pairs = [...readFileSync(file, 'utf8').matchAll(/^\s*([A-Za-z_]\w*)=(.*)$/gm)].map(([, name = '', value = '']) => [name, valueOf(value.trim())] as const)
  return Object.fromEntries(pairs)
}

/** As compose reads it: quotes go, and so does a remark after a value without them. */
function valueOf (text: string): string {
  const [, , quoted] = /^(["'])(.*)\1(?:\s+#.*)?$/.exec(text) ?? []
  return quoted ?? text.replace(/(^|\s+)#.*$/, '')
}

/** Sets these, and leaves every other line as it is. Writes nothing where they are so already. */
export function setInEnvFile (file: string, wanted: Readonly<Record<string, string>>): void {
  const have = readEnvFile(file)
  const changed = Object.entries(wanted).filter(([name, value]) => have[name] !== value)
  if (existsSync(file) && changed.length === 0) return
  const names = new Set(changed.map(([name]) => name))
  const lines = existsSync(file) ? readFileSync(file, 'utf8').replace(/\n?$/, '\n').split(/(?<=\n)/) : [HEAD]
  const kept = lines.filter(line => !names.has(/^\s*([A-Za-z_]\w*)=/.exec(line)?.[1] ?? ''))
  writePrivate(file, [...kept, ...changed.map(([name, value]) => `${name}=${value}\n`)].join(''))
}

/** Readable by its owner alone, and never half there. */
export function writePrivate (named: string, text: string): void {
  // A link stays one: what it leads to is written.
  const file = existsSync(named) ? realpathSync(named) : named
  const incoming = `${file}.incoming`
  rmSync(incoming, { force: true })
  writeFileSync(incoming, text, { mode: 0o600, flag: 'wx' })
  renameSync(incoming, file)
}
