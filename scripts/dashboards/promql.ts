/** The PromQL that the panels are made of: the variables as matchers, rates, zeros where nothing has happened yet, joins. */
import type { MetricName } from '../../src/metrics/metrics.ts'

/** The choice above the dashboard. Relays are those of the chosen regions: the variable is made so. */
export const RELAY = 'relay=~"$relay"'
export const PROJECT = 'project=~"$project"'

/** Series of a metric that these matchers choose. */
export function series (metric: MetricName, ...matchers: string[]): string {
  return matchers.length === 0 ? metric : `${metric}{${matchers.join(', ')}}`
}

/** How fast a counter grows each second, summed by labels. */
export function perSecond (metric: MetricName, by: string[], ...matchers: string[]): string {
  return `${sumBy(by)} (rate(${series(metric, ...matchers)}[$__rate_interval]))`
}

/** By how much a counter has grown in the time that is shown, summed by labels. */
export function grownBy (metric: MetricName, by: string[], ...matchers: string[]): string {
  return `${sumBy(by)} (increase(${series(metric, ...matchers)}[$__range]))`
}

export function sum (metric: MetricName, by: string[], ...matchers: string[]): string {
  return `${sumBy(by)} (${series(metric, ...matchers)})`
}

/** 0 where there is no series yet. */
export function orZero (expression: string): string {
  return `${expression} or vector(0)`
}

/** One series that is 0 and named "none" where there is none yet; gone as soon as there is another. */
export function orNone (expression: string, label: string): string {
  return `${expression} or on () label_replace(vector(0), "${label}", "none", "", "")`
}

/** What is counted by relay, summed by region. `expression` has the labels instance and relay. */
export function byRegion (expression: string): string {
  return `sum by (region) (${expression} * on (instance, relay) group_left (region) max by (instance, relay, region) (turnpike_relay_info{region=~"$region"}))`
}

/** A quantile of a histogram of ours, by labels. */
export function quantile (share: number, histogram: Extract<MetricName, `${string}_duration_seconds` | 'turnpike_signaling_round_trip_seconds'>, by: string[]): string {
  return `histogram_quantile(${share}, sum by (${['le', ...by].join(', ')}) (rate(${histogram}_bucket[$__rate_interval])))`
}

function sumBy (labels: string[]): string {
  return labels.length === 0 ? 'sum' : `sum by (${labels.join(', ')})`
}
