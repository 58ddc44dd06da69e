import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { expect, test } from 'vitest'
import { METRICS } from '../../src/metrics/metrics.ts'

type Panel = { type: string, title: string, description?: string, gridPos: object, datasource?: { uid: string }, fieldConfig?: { defaults: { unit?: string } }, targets?: { expr: string }[] }
const { panels } = JSON.parse(readFileSync('compose/grafana/dashboards/turnpike.json', 'utf8')) as { panels: Panel[] }
const expressions = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))

test('the dashboard asks only for metrics that exist', () => {
  const names = expressions.flatMap(expression => expression.match(/turnpike_\w+/g) ?? []).map(name => name.replace(/_bucket$/, ''))
  expect(names.length).toBeGreaterThan(15)
  expect(names.filter(name => !Object.hasOwn(METRICS, name))).toEqual([])
})

test('every panel says what it shows, in which unit, from the data source that is provisioned', () => {
  const uid = /uid: (\S+)/.exec(readFileSync('compose/grafana/provisioning/datasources/prometheus.yaml', 'utf8'))?.[1]
  const shown = panels.filter(({ type }) => type !== 'row')
  expect(shown.length).toBeGreaterThan(10)
  expect(shown.filter(({ title, description, fieldConfig, datasource }) => title === '' || (description ?? '') === '' || fieldConfig?.defaults.unit === undefined || datasource?.uid !== uid)).toEqual([])
})

test('every expression is one that Prometheus takes', () => {
  const directory = mkdtempSync(`${tmpdir()}/turnpike-rules-`)
  const rules = expressions.map((expression, i) => `      - record: rule:${i}\n        expr: ${JSON.stringify(expression.replaceAll('$__rate_interval', '1m'))}\n`)
  writeFileSync(`${directory}/rules.yml`, `groups:\n  - name: dashboard\n    rules:\n${rules.join('')}`)
  try {
    expect(execFileSync('promtool', ['check', 'rules', `${directory}/rules.yml`], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })).toContain(`${expressions.length} rules found`)
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test('the metrics are what promtool calls well named', async () => {
  const { createMetrics } = await import('../../src/metrics/metrics.ts')
  const { text } = await createMetrics().render()
  expect(execFileSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] })).toBe('')
})
