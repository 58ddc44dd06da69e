/** What a PromQL expression asks for: the metrics in it, and the labels that it names. */
import { METRICS, type MetricName } from '../../src/metrics/metrics.ts'

type Entry = { type: string, labels: readonly string[] }
const ENTRIES: Readonly<Record<string, Entry>> = METRICS
/** Every target has these, whoever is scraped. */
const OF_TARGETS = ['instance', 'job']

export function isMetric (name: string): name is MetricName {
  return Object.hasOwn(METRICS, name)
}

/** The name in the table that a series belongs to: a histogram has three. */
function metricOf (series: string): string {
  const name = series.replace(/_(bucket|sum|count)$/, '')
  return !isMetric(series) && isMetric(name) && METRICS[name].type === 'histogram' ? name : series
}

/** The metrics of ours in it, as they stand in the table (or, where they do not, as they stand there). */
export function metricsIn (expression: string): string[] {
  return [...new Set((withoutStrings(expression).match(/\bturnpike_\w+/g) ?? []).map(metricOf))]
}

/** What it asks for that no series can have: a metric, a label in braces, a label that is grouped or joined by. */
export function unknownIn (expression: string): string[] {
  const bare = withoutStrings(expression)
  const metrics = metricsIn(expression)
  const inBraces = [...bare.matchAll(/([a-z_]\w*)\s*\{([^}]*)\}/g)].flatMap(([, series = '', matchers = '']) => labelsOfMatchers(matchers).map(label => ({ label, of: [metricOf(series)] })))
  const grouped = [...bare.matchAll(/\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)/g)].flatMap(([, labels = '']) => labels.split(',').map(label => label.trim()).filter(label => label !== '').map(label => ({ label, of: metrics })))
  return [
    ...metrics.filter(name => !isMetric(name)),
    ...[...inBraces, ...grouped].filter(({ label, of }) => of.some(name => isMetric(name)) && !of.some(name => labelsOf(name).includes(label))).map(({ label, of }) => `${of.join(', ')} has no ${label}`),
  ]
}

function labelsOf (name: string): string[] {
  const { labels, type } = ENTRIES[name] ?? { labels: [], type: '' }
  return [...labels, ...OF_TARGETS, ...(type === 'histogram' ? ['le'] : [])]
}

function labelsOfMatchers (matchers: string): string[] {
  return matchers.split(',').map(matcher => /^\s*(\w+)\s*(?:=~|!~|!=|=)/.exec(matcher)?.[1]).filter(label => label !== undefined)
}

/** So that nothing within quotes is taken for a brace, a comma or a name. */
function withoutStrings (expression: string): string {
  return expression.replaceAll(/"[^"]*"/g, '""')
}
