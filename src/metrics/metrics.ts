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

const REQUEST_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5] as const

export const METRICS = {
  turnpike_build_info: { type: 'gauge', labels: ['version', 'node'], help: 'Always 1; the labels say what runs.', since: '0.1.0' },
  turnpike_http_requests_total: { type: 'counter', labels: ['method', 'route', 'status'], help: 'HTTP requests answered.', since: '0.1.0' },
  turnpike_http_request_duration_seconds: { type: 'histogram', labels: ['route'], help: 'Time from request to the end of the answer.', since: '0.1.0', buckets: REQUEST_BUCKETS },
  turnpike_credentials_issued_total: { type: 'counter', labels: ['project'], help: 'TURN credentials issued.', since: '0.1.0' },
  turnpike_room_tokens_issued_total: { type: 'counter', labels: ['project'], help: 'Room tokens issued.', since: '0.1.0' },
  turnpike_signaling_sockets: { type: 'gauge', labels: ['project'], help: 'Signaling sockets that are open.', since: '0.1.0' },
  turnpike_signaling_peers: { type: 'gauge', labels: ['project'], help: 'Peers in rooms, those among them whose socket is lost and may come back.', since: '0.4.0' },
  turnpike_signaling_rooms: { type: 'gauge', labels: ['project'], help: 'Rooms that have a peer in them.', since: '0.1.0' },
  turnpike_signaling_joins_total: { type: 'counter', labels: ['project'], help: 'Peers that joined a room.', since: '0.3.0' },
  turnpike_signaling_signals_total: { type: 'counter', labels: ['project'], help: 'Signals delivered, counted once for each receiver.', since: '0.1.0' },
  turnpike_signaling_resumes_total: { type: 'counter', labels: ['result'], help: 'Sockets that were to go on as another had ended. Result: resumed, unknown (the session was gone).', since: '0.4.0' },
  turnpike_signaling_waiting_bytes: { type: 'gauge', labels: [], help: 'What waits to be delivered or acknowledged, of all peers together.', since: '0.4.0' },
  turnpike_signaling_round_trip_seconds: { type: 'histogram', labels: [], help: 'From a ping of the server to the answer of a peer.', since: '0.4.0', buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] },
  turnpike_signaling_errors_total: { type: 'counter', labels: ['code'], help: 'Error frames sent and joins refused, by error code.', since: '0.1.0' },
  turnpike_signaling_closes_total: { type: 'counter', labels: ['code'], help: 'Sockets closed, by WebSocket close code: one of RFC 6455 or of docs/signaling.md, or other.', since: '0.1.0' },
  turnpike_credentials_refused_total: { type: 'counter', labels: ['project', 'reason'], help: 'TURN credentials refused, by error code.', since: '0.3.0' },
  turnpike_secret_rotations_total: { type: 'counter', labels: [], help: 'Rotations of the TURN secret that were finished.', since: '0.3.0' },
  turnpike_quota_used_ratio: { type: 'gauge', labels: ['project', 'quota'], help: 'Share of a byte quota that is used in its period; 1 is all of it. Quota: bytesPerDay, bytesPerMonth.', since: '0.3.0' },
  turnpike_relay_info: { type: 'gauge', labels: ['relay', 'region', 'driver', 'version'], help: 'Always 1; the labels say what the relay is.', since: '0.3.0' },
  turnpike_relay_ready: { type: 'gauge', labels: ['relay'], help: '1 while the relay is proved to work.', since: '0.1.0' },
  turnpike_relay_state: { type: 'gauge', labels: ['relay', 'state'], help: '1 for the state that the relay is in, 0 for the others.', since: '0.1.0' },
  turnpike_relay_handed_out: { type: 'gauge', labels: ['relay'], help: '1 while new credentials name this relay.', since: '0.3.0' },
  turnpike_relay_draining: { type: 'gauge', labels: ['relay'], help: '1 while a coturn of this relay is being drained, by an operator or an upgrade.', since: '0.3.0' },
  turnpike_relay_draining_allocations: { type: 'gauge', labels: ['relay'], help: 'Allocations that live on a coturn that is being drained.', since: '0.3.0' },
  turnpike_relay_restarts_total: { type: 'counter', labels: ['relay', 'reason'], help: 'Restarts of the relay: by the supervisor (reason is the error code), or by an operator (asked).', since: '0.1.0' },
  turnpike_relay_upgrades_total: { type: 'counter', labels: ['relay', 'result'], help: 'Changes of the relay from one coturn to another beside it. Result: done, rolled_back.', since: '0.3.0' },
  turnpike_relay_probes_total: { type: 'counter', labels: ['relay', 'transport', 'result'], help: 'Probes by transport. Result: passed, failed.', since: '0.3.0' },
  turnpike_relay_probe_success: { type: 'gauge', labels: ['relay', 'transport', 'check'], help: '1 where the last probe passed this check, 0 where it failed.', since: '0.1.0' },
  turnpike_relay_probe_round_trip_seconds: { type: 'gauge', labels: ['relay', 'transport'], help: 'Round trip of the last relayed echo, or of an Allocate where no echo is possible.', since: '0.1.0' },
  turnpike_relay_allocations: { type: 'gauge', labels: ['relay', 'transport'], help: 'Allocations that are live, by client transport; those on a coturn that is being drained too.', since: '0.1.0' },
  turnpike_relay_allocations_total: { type: 'counter', labels: ['relay', 'transport'], help: 'Allocations made, by client transport.', since: '0.1.0' },
  turnpike_relay_ports: { type: 'gauge', labels: ['relay'], help: 'Ports that the relay may relay from; each allocation takes one.', since: '0.3.0' },
  turnpike_relay_capacity_bytes_per_second: { type: 'gauge', labels: ['relay'], help: 'What the relay may carry between clients and itself, both ways together, as it is configured; 0 where it is not.', since: '0.3.0' },
  turnpike_relay_refusals_total: { type: 'counter', labels: ['relay', 'cause'], help: 'What coturn refused, as its log tells, but for what our own probe provokes. Cause: wrong_credentials (401), forbidden_peer (403), no_port (508).', since: '0.3.0' },
  turnpike_relay_log_lines_total: { type: 'counter', labels: ['relay', 'level'], help: 'Lines of coturn\'s log. Level: error, other.', since: '0.3.0' },
  turnpike_relay_cuts_total: { type: 'counter', labels: ['relay', 'reason'], help: 'Allocations cut by us. Reason: revoked, expired, quota, project-disabled, asked, drained.', since: '0.2.0' },
  turnpike_relay_bytes_total: { type: 'counter', labels: ['project', 'relay', 'transport', 'direction'], help: 'Bytes between clients and the relay, TURN framing included. Direction: from_client, to_client.', since: '0.1.0' },
  turnpike_relay_packets_total: { type: 'counter', labels: ['project', 'relay', 'transport', 'direction'], help: 'Packets between clients and the relay. Direction: from_client, to_client.', since: '0.1.0' },
  turnpike_relay_feed_connected: { type: 'gauge', labels: ['relay'], help: '1 while coturn is connected to report allocations and traffic.', since: '0.3.0' },
  turnpike_relay_reconciliations_total: { type: 'counter', labels: ['relay', 'result'], help: 'Comparisons of our table of allocations with coturn\'s own. Result: same, mended, failed.', since: '0.3.0' },
  turnpike_relay_address_changes_total: { type: 'counter', labels: ['relay'], help: 'Times that the public address of the relay was found to have changed.', since: '0.3.0' },
  turnpike_certificate_expiry_timestamp_seconds: { type: 'gauge', labels: ['use'], help: 'When the certificate that is served ends, in Unix seconds. Use: relay, https, grpc. 0 until the first one is there.', since: '0.3.0' },
  turnpike_certificate_reloads_total: { type: 'counter', labels: ['use', 'result'], help: 'New certificates that were found. Result: installed, refused (the old one is served on).', since: '0.3.0' },
  turnpike_acme_orders_total: { type: 'counter', labels: ['result'], help: 'Certificates ordered from the authority. Result: issued, failed (tried again).', since: '0.5.0' },
  turnpike_acme_last_success_timestamp_seconds: { type: 'gauge', labels: ['domain'], help: 'When the authority last issued a certificate, in Unix seconds; 0 while it has not. Where certificates are got by ACME.', since: '0.5.0' },
  turnpike_usage_write_duration_seconds: { type: 'histogram', labels: [], help: 'Time to write what was relayed into the ledger.', since: '0.3.0', buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1] },
  turnpike_usage_write_failures_total: { type: 'counter', labels: [], help: 'Writes of the ledger that failed; what they held is kept in memory and written later.', since: '0.3.0' },
  turnpike_usage_last_write_timestamp_seconds: { type: 'gauge', labels: [], help: 'When the ledger was last written, or had nothing to write, in Unix seconds.', since: '0.3.0' },
  turnpike_data_dir_free_bytes: { type: 'gauge', labels: [], help: 'Free space of the file system that holds the data directory.', since: '0.3.0' },
  turnpike_data_dir_size_bytes: { type: 'gauge', labels: [], help: 'Size of the file system that holds the data directory.', since: '0.3.0' },
  turnpike_process_start_time_seconds: { type: 'gauge', labels: [], help: 'When the control plane was started, in Unix seconds.', since: '0.3.0' },
  turnpike_process_cpu_seconds_total: { type: 'counter', labels: ['mode'], help: 'Processor time of the control plane. Mode: user, system.', since: '0.3.0' },
  turnpike_process_memory_bytes: { type: 'gauge', labels: ['kind'], help: 'Memory of the control plane. Kind: resident, heap_used, heap_total, external.', since: '0.3.0' },
  turnpike_process_open_fds: { type: 'gauge', labels: [], help: 'Open file descriptors of the control plane.', since: '0.3.0' },
  turnpike_process_max_fds: { type: 'gauge', labels: [], help: 'Most file descriptors that the control plane may open.', since: '0.3.0' },
  turnpike_process_event_loop_lag_seconds: { type: 'gauge', labels: ['stat'], help: 'How late the event loop was, since the last scrape. Stat: mean, p99, max.', since: '0.3.0' },
  turnpike_process_gc_duration_seconds: { type: 'histogram', labels: ['kind'], help: 'Pauses for garbage collection. Kind: minor, major, incremental, weakcb.', since: '0.3.0', buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25] },
  turnpike_webhooks_total: { type: 'counter', labels: ['result'], help: 'Attempts to deliver a webhook. Result: delivered, failed (tried again), given_up.', since: '0.2.0' },
  turnpike_webhook_deliveries: { type: 'gauge', labels: ['state'], help: 'Events for webhooks that are kept. State: waiting (to be taken), dead (given up; can be replayed).', since: '0.4.0' },
  turnpike_webhook_events_dropped_total: { type: 'counter', labels: ['reason'], help: 'Events for webhooks that were never written down. Reason: queue_full (too many at a time), too_many_waiting (of one project), not_written (at the end, on a disk that takes nothing).', since: '0.4.0' },
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
  /** Takes a gauge's series away: what it tells of is gone. */
  remove<N extends NamesOf<'gauge'>> (name: N, labels: LabelsOf<N>): void
  /** Is done before each rendering, for what is measured only when it is asked for. Returns how to take it back. */
  beforeRender (collect: () => void): () => void
  /** Everything in Prometheus' text format, version 0.0.4, and its content type. */
  render (): Promise<{ contentType: string, text: string }>
}

export function createMetrics (): Metrics {
  const registry = new Registry()
  const counters = new Map<string, Counter>()
  const gauges = new Map<string, Gauge>()
  const histograms = new Map<string, Histogram>()
  const collectors = new Set<() => void>()
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
    remove: (name, labels) => gauges.get(name)?.remove(labels),
    beforeRender: collect => {
      collectors.add(collect)
      return () => { collectors.delete(collect) }
    },
    render: async () => {
      for (const collect of collectors) collect()
      return { contentType: registry.contentType, text: await registry.metrics() }
    },
  }
}
