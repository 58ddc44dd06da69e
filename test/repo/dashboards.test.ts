/** The dashboards: what they ask for exists, Prometheus takes it, and every panel says what it shows. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename } from 'node:path'
import { VariableHide, type GridPos } from '@grafana/schema'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { DASHBOARDS } from '../../scripts/dashboards.ts'
import { createMetrics, METRICS } from '../../src/metrics/metrics.ts'
import { alertRules } from '../kit/alerts.ts'
import { annotationExpressions, annotationsOf, dashboardExpressions, dashboards, substituted } from '../kit/dashboards.ts'
import { metricsIn, unknownIn } from '../kit/expressions.ts'

/** Metric → why neither a panel nor an alert shows it. */
const SHOWN_NOWHERE: Readonly<Record<string, string>> = {}
const UNITS = ['none', 'percentunit', 's', 'bytes', 'bps', 'pps', 'cps', 'reqps']

const shipped = dashboards()
const expressions = dashboardExpressions()
const annotations = annotationExpressions()
const everyPanel = shipped.flatMap(({ dashboard, panels }) => panels.map(panel => ({ name: `${dashboard.title}: ${panel.title}`, panel })))

/** What the variables of a dashboard ask for, without Grafana's `label_values(…, label)` around it. */
const variableQueries = shipped.flatMap(({ dashboard }) => (dashboard.templating?.list ?? []).map(({ query }) => {
  const { query: text } = query as { query: string }
  const [, expr = '', label = ''] = /^label_values\((.+), (\w+)\)$/.exec(text) ?? []
  return { expr: substituted(expr), label }
}))

test('each file is a dashboard that npm run docs writes, under the name of its uid, and compose opens with one of them', () => {
  expect(shipped.map(({ file }) => basename(file))).toEqual(DASHBOARDS.map(({ uid }) => `${uid}.json`).sort())
  expect(shipped.map(({ dashboard }) => dashboard.uid)).toEqual(shipped.map(({ file }) => basename(file, '.json')))
  const home = /DEFAULT_HOME_DASHBOARD_PATH: (\S+)/.exec(readFileSync('compose/compose.yaml', 'utf8'))?.[1] ?? ''
  expect(shipped.map(({ file }) => basename(file))).toContain(basename(home))
})

test('the dashboards and alerts ask only for metrics, and for labels of them, that exist', () => {
  expect(expressions.length).toBeGreaterThan(60)
  expect(expressions.flatMap(({ dashboard, panel, expr }) => unknownIn(expr).map(unknown => `${dashboard}: ${panel}: ${unknown}`))).toEqual([])
  expect(annotations.flatMap(({ name, expr }) => unknownIn(expr).map(unknown => `${name}: ${unknown}`))).toEqual([])
  expect(variableQueries.filter(({ expr, label }) => expr === '' || label === '' || unknownIn(expr).length > 0)).toEqual([])
})

test('what is unknown would be seen: a metric, a label in braces, a label that is grouped or joined by', () => {
  expect(unknownIn('sum by (relay) (turnpike_relay_ready{relay=~".*"})')).toEqual([])
  expect(unknownIn('sum by (le) (rate(turnpike_http_request_duration_seconds_bucket{route="/{id}, x"}[1m]))')).toEqual([])
  expect(unknownIn('turnpike_relay_redy')).toEqual(['turnpike_relay_redy'])
  expect(unknownIn('turnpike_relay_ready{project="a"}')).toEqual(['turnpike_relay_ready has no project'])
  expect(unknownIn('sum by (le) (turnpike_relay_ready)')).toEqual(['turnpike_relay_ready has no le'])
  expect(unknownIn('turnpike_relay_ready * on (relay) group_left (zone) turnpike_relay_info')).toEqual(['turnpike_relay_ready, turnpike_relay_info has no zone'])
})

test('every metric is shown by a panel or watched by an alert', () => {
  const used = new Set([...expressions, ...alertRules()].flatMap(({ expr }) => metricsIn(expr)))
  expect(Object.keys(METRICS).filter(name => !used.has(name) && !Object.hasOwn(SHOWN_NOWHERE, name))).toEqual([])
  expect(Object.keys(SHOWN_NOWHERE).filter(name => used.has(name) || !Object.hasOwn(METRICS, name))).toEqual([])
})

test('what has no series before its first event is shown as 0 until then', () => {
  // The processor is never at rest.
  const sleeping = Object.entries(METRICS).filter(([name, { type, labels }]) => type !== 'gauge' && labels.length > 0 && name !== 'turnpike_process_cpu_seconds_total').map(([name]) => name)
  expect(sleeping.length).toBeGreaterThan(15)
  expect(expressions.filter(({ expr }) => metricsIn(expr).some(name => sleeping.includes(name)) && !expr.includes('vector(0)'))).toEqual([])
})

test('a legend names only labels that the expression leaves', () => {
  const lost = expressions.flatMap(({ dashboard, panel, expr, legend }) => {
    const kept = [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, labels = '']) => labels.split(', '))
    const ofMetrics = metricsIn(expr).flatMap(name => [...METRICS[name as keyof typeof METRICS].labels, 'instance'])
    const known = kept.length > 0 ? kept : (/\bsum \(/.test(expr) ? [] : ofMetrics)
    return [...legend.matchAll(/\{\{(\w+)\}\}/g)].filter(([, label = '']) => !known.includes(label)).map(([, label]) => `${dashboard}: ${panel}: ${label}`)
  })
  expect(lost).toEqual([])
})

test('every panel has a title, says what it shows and what is normal, and has a unit, from the data source that is provisioned', () => {
  const { datasources } = parse(readFileSync('compose/grafana/provisioning/datasources/prometheus.yaml', 'utf8')) as { datasources: { uid: string }[] }
  const uid = datasources[0]?.uid
  expect(everyPanel.length).toBeGreaterThan(50)
  expect(everyPanel.filter(({ panel }) => (panel.title ?? '') === '' || !/^[A-Z].{20,}\.$/.test(panel.description ?? '')).map(({ name }) => name)).toEqual([])
  expect(everyPanel.filter(({ panel }) => !UNITS.includes(panel.fieldConfig?.defaults.unit ?? '')).map(({ name }) => name)).toEqual([])
  const sources = [...everyPanel.map(({ name, panel }) => ({ name, source: panel.datasource })), ...everyPanel.flatMap(({ name, panel }) => (panel.targets ?? []).map(target => ({ name, source: target['datasource'] as { uid: string } }))), ...shipped.flatMap(({ dashboard }) => annotationsOf(dashboard).map(({ name, datasource }) => ({ name, source: datasource })))]
  expect(sources.filter(({ source }) => source?.uid !== uid).map(({ name }) => name)).toEqual([])
})

test.each(shipped)('$file: ids are unique, and panels stand side by side within the grid', ({ dashboard }) => {
  const all = dashboard.panels ?? []
  expect(new Set(all.map(({ id }) => id)).size).toBe(all.length)
  const places = all.map(({ title = '', gridPos }) => ({ title, ...gridPos as GridPos }))
  expect(places.filter(({ x, y, w, h }) => !(x >= 0 && y >= 0 && w > 0 && h > 0 && x + w <= 24))).toEqual([])
  const overlaps = places.flatMap((a, i) => places.slice(i + 1).filter(b => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h).map(b => `${a.title} and ${b.title}`))
  expect(overlaps).toEqual([])
})

test.each(shipped)('$file: variables, links to the others, and what happened are there', ({ dashboard }) => {
  const variables = dashboard.templating?.list ?? []
  expect(variables.map(({ name, multi, includeAll }) => ({ name, multi, includeAll }))).toEqual(['project', 'region', 'relay'].map(name => ({ name, multi: true, includeAll: true })))
  // A variable that is shown and does nothing would mislead; one that is asked for must be shown. Relays are asked for by region.
  const shown = variables.filter(({ hide }) => hide === VariableHide.dontHide)
  const asked = JSON.stringify([dashboard.panels, shown.map(({ query }) => query)])
  const named = new Set([...asked.matchAll(/\$([a-z]\w*)/g)].map(([, name]) => name))
  expect([...named].sort()).toEqual(shown.map(({ name }) => name).sort())
  expect(dashboard.links).toMatchObject([{ type: 'dashboards', tags: dashboard.tags, includeVars: true, keepTime: true }])
  expect(annotationsOf(dashboard).map(({ name, enable }) => ({ name, enable }))).toEqual(['Restarts', 'Drains', 'Upgrades', 'Rotations'].map(name => ({ name, enable: true })))
  expect(dashboard).toMatchObject({ schemaVersion: 41, refresh: '10s', time: { from: 'now-1h', to: 'now' }, editable: false, tags: ['turnpike'] })
})

test('every expression is one that Prometheus takes', () => {
  const directory = mkdtempSync(`${tmpdir()}/turnpike-rules-`)
  const all = [...expressions, ...annotations, ...variableQueries].map(({ expr }) => expr)
  expect(all.filter(expr => expr.includes('$'))).toEqual([])
  const rules = all.map((expr, i) => `      - record: rule:${i}\n        expr: ${JSON.stringify(expr)}\n`)
  writeFileSync(`${directory}/rules.yml`, `groups:\n  - name: dashboards\n    rules:\n${rules.join('')}`)
  try {
    expect(execFileSync('promtool', ['check', 'rules', `${directory}/rules.yml`], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })).toContain(`${all.length} rules found`)
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test('the metrics are what promtool calls well named', async () => {
  const { text } = await createMetrics().render()
  expect(execFileSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] })).toBe('')
})
