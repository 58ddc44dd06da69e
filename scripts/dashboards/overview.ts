/** Overview: is it up, calls now, bandwidth, errors. The page that Grafana opens with. */
import { dashboard } from './frame.ts'
import { bad, bars, good, stat, table, timeseries, type Unplaced } from './panels.ts'
import { byRegion, orNone, orZero, perSecond, PROJECT, RELAY, series, sum } from './promql.ts'

export const overview = dashboard({
  uid: 'turnpike-overview',
  title: 'Turnpike: Overview',
  description: 'Is it up, how many calls, how much bandwidth, which errors.',
  chosenBy: ['project', 'region', 'relay'],
  sections: [
    { title: 'Is it up', panels: upNow() },
    { title: 'Calls and bandwidth', panels: calls() },
    { title: 'Errors', panels: errors() },
    { title: 'What runs', panels: running() },
  ],
})

function upNow (): Unplaced[] {
  return [
    stat({ title: 'Control plane', description: 'Control planes that Prometheus reaches. Normal: as many as you run; none is red, and coturn may relay on even then.', unit: 'none', width: 4, thresholds: good(1), queries: [[orZero('count(turnpike_build_info)'), 'up']] }),
    stat({ title: 'Relays', description: 'Each relay as our own TURN client finds it: refused without credentials, allocated with them, bytes echoed. Normal: ready.', unit: 'none', width: 5, min: 0, max: 1, thresholds: good(1), words: { 0: 'not ready', 1: 'ready' }, queries: [[`max by (relay) (${series('turnpike_relay_ready', RELAY)})`, '{{relay}}']] }),
    stat({ title: 'Alerts', description: 'Alerts of ours that fire, see docs/operations.md. Normal: 0.', unit: 'none', width: 3, thresholds: bad(1), queries: [[orZero('count(ALERTS{alertname=~"Turnpike.+", alertstate="firing"})'), 'firing']] }),
    stat({ title: 'Allocations now', description: 'Relayed addresses that clients hold. One call commonly makes two to six; 0 when nobody calls through the relay.', unit: 'none', width: 4, queries: [[orZero(sum('turnpike_relay_allocations', [], RELAY)), 'allocations']] }),
    stat({ title: 'Bandwidth now', description: 'Between clients and the relay, both ways together. coturn reports a session every 4096 packets and at its end, so a short call shows up when it is over.', unit: 'bps', width: 4, queries: [[orZero(`8 * ${perSecond('turnpike_relay_bytes_total', [], RELAY, PROJECT)}`), 'bandwidth']] }),
    stat({ title: 'Peers in rooms', description: 'Signaling sockets that are open. 0 for those who signal by themselves.', unit: 'none', width: 4, queries: [[orZero(sum('turnpike_signaling_sockets', [], PROJECT)), 'peers']] }),
  ]
}

function calls (): Unplaced[] {
  return [
    timeseries({ title: 'Allocations by relay', description: 'Live allocations. Normal: follows your day; a cliff at a restart is lost calls.', unit: 'none', width: 12, stacked: true, queries: [[sum('turnpike_relay_allocations', ['relay'], RELAY), '{{relay}}']] }),
    timeseries({ title: 'Bitrate by direction', description: 'From clients to the relay and back. Normal: about the same both ways, because what comes in from one goes out to another.', unit: 'bps', width: 12, queries: [[orNone(`8 * ${perSecond('turnpike_relay_bytes_total', ['direction'], RELAY, PROJECT)}`, 'direction'), '{{direction}}']] }),
    timeseries({ title: 'Allocations by region', description: 'Live allocations of the relays of each region. Regions are those that the relays are configured with.', unit: 'none', width: 8, stacked: true, queries: [[byRegion(sum('turnpike_relay_allocations', ['instance', 'relay'], RELAY)), '{{region}}']] }),
    timeseries({ title: 'Bitrate by region', description: 'Both ways together, by the region of the relay. Normal: where your users are.', unit: 'bps', width: 8, stacked: true, queries: [[orNone(byRegion(`8 * ${perSecond('turnpike_relay_bytes_total', ['instance', 'relay'], RELAY, PROJECT)}`), 'region'), '{{region}}']] }),
    timeseries({ title: 'Bitrate by project', description: 'Both ways together, the ten projects that take most. Normal: the shares that you expect.', unit: 'bps', width: 8, stacked: true, queries: [[orNone(`topk(10, 8 * ${perSecond('turnpike_relay_bytes_total', ['project'], RELAY, PROJECT)})`, 'project'), '{{project}}']] }),
  ]
}

function errors (): Unplaced[] {
  return [
    timeseries({
      title: 'What was refused or failed',
      description: 'Each second: answers with 5xx, credentials refused, signaling errors, and what coturn refused. Normal: near 0; the probe itself provokes a few refusals at the relay.',
      unit: 'cps',
      width: 12,
      queries: [
        [orZero(perSecond('turnpike_http_requests_total', [], 'status=~"5.."')), 'HTTP 5xx'],
        [orZero(perSecond('turnpike_credentials_refused_total', [], PROJECT)), 'credentials refused'],
        [orZero(perSecond('turnpike_signaling_errors_total', [])), 'signaling errors'],
        [orZero(perSecond('turnpike_relay_refusals_total', [], RELAY)), 'refused by the relay'],
      ],
    }),
    bars({
      title: 'How full it is',
      description: 'Shares of what each relay, quota and disk can take. Normal: below 80 %; capacity shows nothing where none is configured.',
      unit: 'percentunit',
      width: 12,
      min: 0,
      max: 1,
      thresholds: bad(0.8, 0.9),
      queries: [
        [`sum by (instance, relay) (${series('turnpike_relay_allocations', RELAY)}) / on (instance, relay) (${series('turnpike_relay_ports', RELAY)} > 0)`, 'ports of {{relay}}'],
        [orZero(`sum by (instance, relay) (rate(${series('turnpike_relay_bytes_total', RELAY)}[$__rate_interval])) / on (instance, relay) (${series('turnpike_relay_capacity_bytes_per_second', RELAY)} > 0)`), 'capacity {{relay}}'],
        [orZero(`max(${series('turnpike_quota_used_ratio', PROJECT)})`), 'the fullest quota'],
        ['1 - turnpike_data_dir_free_bytes / (turnpike_data_dir_size_bytes > 0)', 'disk'],
      ],
    }),
  ]
}

function running (): Unplaced[] {
  return [
    table({ title: 'Control planes', description: 'Version of Turnpike and of Node.js. Normal: one line for each that you run, all of one version.', unit: 'none', width: 12, queries: [['max by (instance, version, node) (turnpike_build_info)', '']] }),
    table({ title: 'Relays', description: 'What each relay is. Normal: one line for each; two while it is being upgraded.', unit: 'none', width: 12, queries: [[`max by (relay, region, driver, version) (${series('turnpike_relay_info', RELAY)})`, '']] }),
  ]
}
