/** The effective configuration as a person or a program reads it; secrets masked. */
import type { Loaded } from '../config/load.ts'
import { listSettings, type Setting } from '../config/settings.ts'

const MASK = '********'

/** One line for each setting, `NAME=value  # where it came from`, or one JSON object by variable name. */
export function renderConfig ({ config, sources }: Pick<Loaded, 'config' | 'sources'>, asJson: boolean): string {
  const rows = listSettings().map(setting => ({ variable: setting.variable, value: shown(setting, config), source: sources.get(setting.variable) ?? 'default' }))
  if (asJson) return `${JSON.stringify(Object.fromEntries(rows.map(({ variable, value, source }) => [variable, { value, source }])), null, 2)}\n`
  return rows.map(({ variable, value, source }) => `${variable}=${textOf(value)}  # ${source}\n`).join('')
}

function shown (setting: Setting, config: object): unknown {
  const value = setting.path.reduce<unknown>((node, key) => (node as Record<string, unknown> | undefined)?.[key], config)
  if (value === undefined) return null
  return setting.secret ? MASK : value
}

function textOf (value: unknown): string {
  if (value === null) return ''
  return Array.isArray(value) ? value.join(',') : String(value)
}
