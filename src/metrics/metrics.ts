/**
 * THE table of metrics: name, type, labels and help of each, once; the registry and docs/metrics.md are made from it.
 * Names follow Prometheus' rules (base units, `_total` for counters). Label values are bounded: never a user, a room or an address.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'

type MetricEntry = {
  type: 'counter' | 'gauge' | 'histogram'
  labels: readonly string[]
  help: string
  /** The version of Turnpike that first had it. */
  since: string
  buckets?: readonly number[]
}

const REQUEST_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5] as const

export const METRICS = {
  turnpike_build_info: { type: 'gauge', labels: ['version', 'node'], help: 'Always 1; the labels say what runs.', since: '0.1.0' },
  turnpike_http_requests_total: { type: 'counter', labels: ['method', 'route', 'status'], help: 'HTTP requests answered.', since: '0.1.0' },
  turnpike_http_request_duration_seconds: { type: 'histogram', labels: ['route'], help: 'Time from request to the end of the answer.', since: '0.1.0', buckets: REQUEST_BUCKETS },
  turnpike_credentials_issued_total: { type: 'counter', labels: ['project'], help: 'TURN credentials issued.', since: '0.1.0' },
  turnpike_room_tokens_issued_total: { type: 'counter', labels: ['project'], help: 'Room tokens issued.', since: '0.1.0' },
  turnpike_signaling_sockets: { type: 'gauge', labels: ['project'], help: 'Signaling sockets that are open.', since: '0.1.0' },
  turnpike_signaling_rooms: { type: 'gauge', labels: ['project'], help: 'Rooms that have a peer in them.', since: '0.1.0' },
  turnpike_signaling_signals_total: { type: 'counter', labels: ['project'], help: 'Signals delivered, counted once for each receiver.', since: '0.1.0' },
  turnpike_signaling_errors_total: { type: 'counter', labels: ['code'], help: 'Error frames sent and joins refused, by error code.', since: '0.1.0' },
  turnpike_signaling_closes_total: { type: 'counter', labels: ['code'], help: 'Sockets closed, by WebSocket close code.', since: '0.1.0' },
  turnpike_relay_ready: { type: 'gauge', labels: ['relay'], help: '1 while the relay is proved to work.', since: '0.1.0' },
  turnpike_relay_state: { type: 'gauge', labels: ['relay', 'state'], help: '1 for the state that the relay is in, 0 for the others.', since: '0.1.0' },
  turnpike_relay_restarts_total: { type: 'counter', labels: ['relay', 'reason'], help: 'Restarts of the relay by the supervisor, by error code.', since: '0.1.0' },
  turnpike_relay_probe_success: { type: 'gauge', labels: ['relay', 'transport', 'check'], help: '1 where the last probe passed this check, 0 where it failed.', since: '0.1.0' },
  turnpike_relay_probe_round_trip_seconds: { type: 'gauge', labels: ['relay', 'transport'], help: 'Round trip of the last relayed echo, or of an Allocate where no echo is possible.', since: '0.1.0' },
  turnpike_relay_allocations: { type: 'gauge', labels: ['relay', 'transport'], help: 'Allocations that are live, by client transport.', since: '0.1.0' },
  turnpike_relay_allocations_total: { type: 'counter', labels: ['relay', 'transport'], help: 'Allocations made, by client transport.', since: '0.1.0' },
  turnpike_relay_cuts_total: { type: 'counter', labels: ['relay', 'reason'], help: 'Allocations cut by us. Reason: revoked, expired, quota, project-disabled, asked.', since: '0.2.0' },
  turnpike_relay_bytes_total: { type: 'counter', labels: ['project', 'relay', 'direction'], help: 'Bytes between clients and the relay, TURN framing included. Direction: from_client, to_client.', since: '0.1.0' },
  turnpike_relay_packets_total: { type: 'counter', labels: ['project', 'relay', 'direction'], help: 'Packets between clients and the relay. Direction: from_client, to_client.', since: '0.1.0' },
  turnpike_webhooks_total: { type: 'counter', labels: ['result'], help: 'Attempts to deliver a webhook. Result: delivered, failed (tried again), given_up.', since: '0.2.0' },
} as const satisfies Record<string, MetricEntry>

export type MetricName = keyof typeof METRICS
type NamesOf<T extends MetricEntry['type']> = { [N in MetricName]: typeof METRICS[N]['type'] extends T ? N : never }[MetricName]
/** The labels of a metric, each with its value. */
export type LabelsOf<N extends MetricName> = Record<typeof METRICS[N]['labels'][number], string>

export type Metrics = {
  /** Adds to a counter. */
  add<N extends NamesOf<'counter'>> (name: N, labels: LabelsOf<N>, amount?: number): void
  /** Sets a gauge. */
  set<N extends NamesOf<'gauge'>> (name: N, labels: LabelsOf<N>, value: number): void
  /** Adds an observation, in the metric's unit, to a histogram. */
  observe<N extends NamesOf<'histogram'>> (name: N, labels: LabelsOf<N>, value: number): void
  /** Everything in Prometheus' text format, version 0.0.4, and its content type. */
  render (): Promise<{ contentType: string, text: string }>
}

export function createMetrics (): Metrics {
  const registry = new Registry()
  const counters = new Map<string, Counter>()
  const gauges = new Map<string, Gauge>()
  const histograms = new Map<string, Histogram>()
  for (const [name, entry] of Object.entries<MetricEntry>(METRICS)) {
    const options = { name, help: entry.help, labelNames: [...entry.labels], registers: [registry] }
    if (entry.type === 'counter') counters.set(name, new Counter(options))
    else if (entry.type === 'gauge') gauges.set(name, new Gauge(options))
    else histograms.set(name, new Histogram({ ...options, buckets: [...entry.buckets ?? []] }))
  }
  return {
    add: (name, labels, amount = 1) => counters.get(name)?.inc(labels, amount),
    set: (name, labels, value) => gauges.get(name)?.set(labels, value),
    observe: (name, labels, value) => histograms.get(name)?.observe(labels, value),
    render: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  }
}
