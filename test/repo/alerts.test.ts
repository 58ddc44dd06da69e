/** The alerts: promtool takes them, each is proved to fire and not to fire, and each tells people where to read on. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { alertRules, RULES_FILE } from '../kit/alerts.ts'
import { metricsIn, unknownIn } from '../kit/expressions.ts'

const TESTS_FILE = 'compose/prometheus/tests/turnpike.test.yml'
type Asked = { expr: string, exp_samples?: { labels: string }[] }
const asked = (parse(readFileSync(TESTS_FILE, 'utf8')) as { tests: { promql_expr_test: Asked[] }[] }).tests.flatMap(({ promql_expr_test: questions }) => questions)
const rules = alertRules()

/** The answers that the tests expect of one alert: those with it and those without. */
function answersFor (alert: string): { firing: string[], silent: number } {
  const samples = asked.filter(({ expr }) => expr.includes(`alertname="${alert}"`) && expr.includes('alertstate="firing"')).map(({ exp_samples: expected = [] }) => expected.map(({ labels }) => labels))
  return { firing: samples.flat(), silent: samples.filter(labels => labels.length === 0).length }
}

function promtool (...args: string[]): string {
  return execFileSync('promtool', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

test('promtool takes every rule', () => {
  expect(rules.length).toBeGreaterThan(14)
  expect(promtool('check', 'rules', RULES_FILE)).toContain(`${rules.length} rules found`)
})

test('each alert fires when it must and is silent when it must be', () => {
  expect(promtool('test', 'rules', TESTS_FILE)).toContain('SUCCESS')
  expect(rules.filter(({ alert }) => answersFor(alert).firing.length === 0).map(({ alert }) => alert)).toEqual([])
  expect(rules.filter(({ alert }) => answersFor(alert).silent === 0).map(({ alert }) => alert)).toEqual([])
})

test('each alert has a severity, and says what happened, why, what to do and where to read on', () => {
  expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length)
  expect(rules.filter(({ labels }) => !['critical', 'warning'].includes(labels['severity'] ?? '')).map(({ alert }) => alert)).toEqual([])
  const lacking = rules.flatMap(({ alert, annotations }) => ['summary', 'cause', 'action', 'runbook'].filter(name => (annotations[name] ?? '').length < 10).map(name => `${alert}: ${name}`))
  expect(lacking).toEqual([])
  expect(rules.flatMap(({ alert, annotations }) => ['cause', 'action'].filter(name => !/\.$/.test(annotations[name] ?? '')).map(name => `${alert}: ${name}`))).toEqual([])
})

test('each text names only labels that the alert has when it fires', () => {
  const absent = rules.flatMap(({ alert, annotations }) => {
    const named = Object.values(annotations).flatMap(text => [...text.matchAll(/\$labels\.(\w+)/g)].map(([, label = '']) => label))
    return named.flatMap(label => answersFor(alert).firing.filter(labels => !new RegExp(`[{,]${label}="`).test(labels)).map(labels => `${alert}: ${label} in ${labels}`))
  })
  expect(absent).toEqual([])
})

test('each alert has a paragraph of its own in docs/operations.md, and no paragraph is for an alert that is gone', () => {
  const page = readFileSync('docs/operations.md', 'utf8')
  const section = /\n## When an alert fires\n([^]*?)\n## /.exec(page)?.[1] ?? ''
  const paragraphs = [...section.matchAll(/^### (\w+)\n\n(?!#)(\S.+)$/gm)].map(([, name]) => name)
  expect(paragraphs).toEqual(rules.map(({ alert }) => alert))
  expect(rules.filter(({ alert, annotations }) => annotations['runbook'] !== `docs/operations.md#${alert.toLowerCase()}`).map(({ alert }) => alert)).toEqual([])
})

test('the alerts ask only for metrics and labels that exist', () => {
  expect(rules.flatMap(({ expr }) => unknownIn(expr))).toEqual([])
  expect(rules.filter(({ alert, expr }) => metricsIn(expr).length === 0 && alert !== 'TurnpikeDown')).toEqual([])
})

test('Prometheus loads what compose mounts: the configuration is one that it takes, and names the rules', () => {
  const config = parse(readFileSync('compose/prometheus/prometheus.yml', 'utf8')) as { rule_files: string[], scrape_configs: { job_name: string }[] }
  const { services } = parse(readFileSync('compose/compose.yaml', 'utf8')) as { services: { prometheus: { volumes: string[] } } }
  const mounts = services.prometheus.volumes.map(volume => volume.split(':'))
  expect(mounts).toContainEqual(['./prometheus/prometheus.yml', '/etc/prometheus/prometheus.yml', 'ro'])
  expect(mounts).toContainEqual(['./prometheus/rules', '/etc/prometheus/rules', 'ro'])
  expect(config.rule_files).toEqual(['/etc/prometheus/rules/*.rules.yml'])
  // TurnpikeDown asks for the target by its job.
  expect(config.scrape_configs.map(({ job_name: job }) => job)).toEqual(['turnpike'])
  expect(promtool('check', 'config', '--syntax-only', 'compose/prometheus/prometheus.yml')).toContain('SUCCESS')
})
