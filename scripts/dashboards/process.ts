/** Process: what the control plane takes of the machine, and how fast it answers. */
import { dashboard } from './frame.ts'
import { bad, stat, timeseries, type Unplaced } from './panels.ts'
import { orNone, orZero, perSecond, quantile } from './promql.ts'

export const processes = dashboard({
  uid: 'turnpike-process',
  title: 'Turnpike: Process',
  description: 'What the control plane takes of the machine, and how fast it answers. Media does not pass it.',
  chosenBy: [],
  sections: [
    { title: 'Now', panels: now() },
    { title: 'Machine', panels: machine() },
    { title: 'Event loop', panels: eventLoop() },
    { title: 'HTTP', panels: http() },
  ],
})

function now (): Unplaced[] {
  return [
    stat({ title: 'Runs for', description: 'Time since the control plane was started. A short one that you did not start is a crash.', unit: 's', width: 6, queries: [['time() - (turnpike_process_start_time_seconds > 0)', '{{instance}}']] }),
    stat({ title: 'Lag now', description: 'The 99th percentile of how late the event loop was since the last scrape. Normal: below 20 ms.', unit: 's', width: 6, thresholds: bad(0.05, 0.1), queries: [['max by (instance) (turnpike_process_event_loop_lag_seconds{stat="p99"})', '{{instance}}']] }),
    stat({ title: 'File descriptors', description: 'Share of the file descriptors that may be open. One socket takes one. Normal: below 80 %.', unit: 'percentunit', width: 6, min: 0, max: 1, thresholds: bad(0.8, 0.9), queries: [['turnpike_process_open_fds / turnpike_process_max_fds', '{{instance}}']] }),
    stat({ title: 'Disk left', description: 'Free space of the file system that holds the data directory. Normal: more than 10 GB or 10 %.', unit: 'bytes', width: 6, thresholds: { below: 'red', from: [[1e9, 'orange'], [10e9, 'green']] }, queries: [['turnpike_data_dir_free_bytes', '{{instance}}']] }),
  ]
}

function machine (): Unplaced[] {
  return [
    timeseries({ title: 'Processor', description: 'Cores that are busy with the control plane. Normal: well below 1; it cannot use much more than one.', unit: 'percentunit', width: 12, stacked: true, limit: true, thresholds: bad(1), queries: [[perSecond('turnpike_process_cpu_seconds_total', ['instance', 'mode']), '{{instance}} {{mode}}']] }),
    timeseries({ title: 'Memory', description: 'Memory of the control plane. Normal: heap_used goes up and down; resident that only grows is a leak.', unit: 'bytes', width: 12, queries: [['max by (instance, kind) (turnpike_process_memory_bytes)', '{{instance}} {{kind}}']] }),
    timeseries({ title: 'Open file descriptors', description: 'Open file descriptors: sockets, files, the database. Normal: some tens, and one for each client.', unit: 'none', width: 12, queries: [['turnpike_process_open_fds', '{{instance}}']] }),
    timeseries({ title: 'Disk in use', description: 'Share of the file system of the data directory that is used, by whomever. Normal: below 90 %.', unit: 'percentunit', width: 12, max: 1, limit: true, thresholds: bad(0.9), queries: [['1 - turnpike_data_dir_free_bytes / (turnpike_data_dir_size_bytes > 0)', '{{instance}}']] }),
  ]
}

function eventLoop (): Unplaced[] {
  return [
    timeseries({ title: 'Event loop lag', description: 'How late the event loop was since the last scrape. Normal: mean below 5 ms, p99 below 20 ms; a single max is one pause.', unit: 's', width: 12, limit: true, thresholds: bad(0.1), queries: [['max by (instance, stat) (turnpike_process_event_loop_lag_seconds)', '{{instance}} {{stat}}']] }),
    timeseries({ title: 'Time in garbage collection', description: 'Share of the time that is spent collecting garbage, by kind. Normal: below 5 %.', unit: 'percentunit', width: 6, stacked: true, queries: [[orNone('sum by (kind) (rate(turnpike_process_gc_duration_seconds_sum[$__rate_interval]))', 'kind'), '{{kind}}']] }),
    timeseries({ title: 'Longest pauses', description: 'The 99th percentile of a pause for garbage collection, by kind. Normal: minor below 5 ms, major below 50 ms.', unit: 's', width: 6, queries: [[orNone(quantile(0.99, 'turnpike_process_gc_duration_seconds', ['kind']), 'kind'), '{{kind}}']] }),
  ]
}

function http (): Unplaced[] {
  return [
    timeseries({ title: 'Requests by route', description: 'Requests answered each second. Normal: mostly those that issue credentials and tokens.', unit: 'reqps', width: 12, stacked: true, queries: [[orNone(perSecond('turnpike_http_requests_total', ['method', 'route']), 'route'), '{{method}} {{route}}']] }),
    timeseries({ title: 'Requests by status', description: 'Answers each second, by status. Normal: 2xx; 401 and 429 are callers that must not, 5xx is ours to look at.', unit: 'reqps', width: 12, stacked: true, queries: [[orNone(perSecond('turnpike_http_requests_total', ['status']), 'status'), '{{status}}']] }),
    timeseries({ title: 'Median time by route', description: 'Time from request to the end of the answer. Normal: below 5 ms.', unit: 's', width: 8, queries: [[orNone(quantile(0.5, 'turnpike_http_request_duration_seconds', ['route']), 'route'), '{{route}}']] }),
    timeseries({ title: '99th percentile by route', description: 'The slowest hundredth of the requests is slower than this. Normal: below 50 ms, but for routes that write or wait for the relay.', unit: 's', width: 8, queries: [[orNone(quantile(0.99, 'turnpike_http_request_duration_seconds', ['route']), 'route'), '{{route}}']] }),
    timeseries({ title: 'Requests that failed', description: 'Share of the answers that are 5xx. Normal: 0.', unit: 'percentunit', width: 8, max: 1, queries: [[orZero(`${perSecond('turnpike_http_requests_total', [], 'status=~"5.."')} / ${perSecond('turnpike_http_requests_total', [])}`), '5xx']] }),
  ]
}
