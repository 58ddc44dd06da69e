/** The alert rules as they are shipped. */
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'

export const RULES_FILE = 'compose/prometheus/rules/turnpike.rules.yml'

export type AlertRule = { alert: string, expr: string, for?: string, labels: Record<string, string>, annotations: Record<string, string> }

export function alertRules (): AlertRule[] {
  return (parse(readFileSync(RULES_FILE, 'utf8')) as { groups: { rules: AlertRule[] }[] }).groups.flatMap(({ rules }) => rules)
}
