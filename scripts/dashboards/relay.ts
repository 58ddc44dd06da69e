/** Relay: each relay and transport, what it carries, whether it is proved, what it refuses, what was done to it. */
import { dashboard } from './frame.ts'
import { bad, good, stat, table, timeseries, type Unplaced } from './panels.ts'
import { grownBy, orNone, orZero, perSecond, PROJECT, RELAY, series, sum } from './promql.ts'

export const relay = dashboard({
  uid: 'turnpike-relay',
  title: 'Turnpike: Relay',
  description: 'Each relay and transport: what it carries, whether it is proved, what it refuses, what was done to it.',
  chosenBy: ['project', 'region', 'relay'],
  sections: [
    { title: 'State', panels: state() },
    { title: 'Traffic', panels: traffic() },
    { title: 'Proof', panels: proof() },
    { title: 'Trouble', panels: trouble() },
    { title: 'Life', panels: life() },
  ],
})

function state (): Unplaced[] {
  return [
    stat({ title: 'State', description: 'The state of each relay, see docs/architecture.md. Normal: healthy.', unit: 'none', width: 5, nameOnly: true, queries: [[`max by (relay, state) (${series('turnpike_relay_state', RELAY)}) == 1`, '{{relay}}: {{state}}']] }),
    stat({ title: 'Named by new credentials', description: 'Whether new credentials name the relay. Normal: yes; no while it is drained or not proved.', unit: 'none', width: 4, min: 0, max: 1, thresholds: good(1), words: { 0: 'no', 1: 'yes' }, queries: [[`max by (relay) (${series('turnpike_relay_handed_out', RELAY)})`, '{{relay}}']] }),
    stat({ title: 'Draining', description: 'Whether a coturn of the relay is being drained, by an operator or an upgrade. Normal: no.', unit: 'none', width: 4, min: 0, max: 1, thresholds: { below: 'green', from: [[1, 'orange']] }, words: { 0: 'no', 1: 'draining' }, queries: [[`max by (relay) (${series('turnpike_relay_draining', RELAY)})`, '{{relay}}']] }),
    stat({ title: 'Feed', description: 'Whether coturn is connected to report allocations and traffic. Normal: connected; without it nothing is counted or cut.', unit: 'none', width: 4, min: 0, max: 1, thresholds: good(1), words: { 0: 'lost', 1: 'connected' }, queries: [[`max by (relay) (${series('turnpike_relay_feed_connected', RELAY)})`, '{{relay}}']] }),
    table({ title: 'What it is', description: 'Region, driver and version of coturn. Normal: one line for each relay.', unit: 'none', width: 7, queries: [[`max by (relay, region, driver, version) (${series('turnpike_relay_info', RELAY)})`, '']] }),
  ]
}

function traffic (): Unplaced[] {
  return [
    timeseries({ title: 'Allocations', description: 'Live allocations by the transport that clients come over. Normal: mostly udp; much tls means networks that block the rest.', unit: 'none', width: 12, stacked: true, queries: [[sum('turnpike_relay_allocations', ['relay', 'transport'], RELAY), '{{relay}} {{transport}}']] }),
    timeseries({ title: 'New allocations', description: 'Allocations made each second. Normal: some times the calls that begin. Those of the probe do not count.', unit: 'cps', width: 12, queries: [[orNone(perSecond('turnpike_relay_allocations_total', ['relay', 'transport'], RELAY), 'transport'), '{{relay}} {{transport}}']] }),
    timeseries({ title: 'Bitrate from clients', description: 'Bits that clients send to the relay, TURN framing included. Comes in steps: coturn reports every 4096 packets of a session.', unit: 'bps', width: 12, stacked: true, queries: [[orNone(`8 * ${perSecond('turnpike_relay_bytes_total', ['relay', 'transport'], RELAY, PROJECT, 'direction="from_client"')}`, 'transport'), '{{relay}} {{transport}}']] }),
    timeseries({ title: 'Bitrate to clients', description: 'Bits that the relay sends to clients. Normal: about what comes from clients.', unit: 'bps', width: 12, stacked: true, queries: [[orNone(`8 * ${perSecond('turnpike_relay_bytes_total', ['relay', 'transport'], RELAY, PROJECT, 'direction="to_client"')}`, 'transport'), '{{relay}} {{transport}}']] }),
    timeseries({ title: 'Packets', description: 'Packets each second, both ways. Normal: some 50 for each voice, some hundreds for each video.', unit: 'pps', width: 8, queries: [[orNone(perSecond('turnpike_relay_packets_total', ['relay', 'transport', 'direction'], RELAY, PROJECT), 'transport'), '{{relay}} {{transport}} {{direction}}']] }),
    timeseries({ title: 'Ports in use', description: 'Share of the port range that allocations take. Normal: below 80 %; at 100 % nobody gets another allocation.', unit: 'percentunit', width: 8, max: 1, limit: true, thresholds: bad(0.8), queries: [[`sum by (instance, relay) (${series('turnpike_relay_allocations', RELAY)}) / on (instance, relay) (${series('turnpike_relay_ports', RELAY)} > 0)`, '{{relay}}']] }),
    timeseries({ title: 'Capacity in use', description: 'Share of the configured capacity, over five minutes. Normal: below 80 %; 0 where no capacity is configured.', unit: 'percentunit', width: 8, limit: true, thresholds: bad(0.8), queries: [[orZero(`sum by (instance, relay) (rate(${series('turnpike_relay_bytes_total', RELAY)}[5m])) / on (instance, relay) (${series('turnpike_relay_capacity_bytes_per_second', RELAY)} > 0)`), '{{relay}}']] }),
  ]
}

function proof (): Unplaced[] {
  return [
    timeseries({ title: 'Probe', description: 'The worst check of the last probe over each transport: 1 passed, 0 failed. Normal: 1.', unit: 'none', width: 8, max: 1, decimals: 0, queries: [[`min by (relay, transport) (${series('turnpike_relay_probe_success', RELAY)})`, '{{relay}} {{transport}}']] }),
    stat({ title: 'Checks that fail', description: 'Checks of the last probe that failed, by name. Normal: none.', unit: 'none', width: 8, nameOnly: true, thresholds: bad(1), queries: [[orNone(`1 - min by (relay, transport, check) (${series('turnpike_relay_probe_success', RELAY)}) == 1`, 'check'), '{{relay}} {{transport}} {{check}}']] }),
    timeseries({ title: 'Round trip of the probe', description: 'A relayed echo from the control plane, there and back. Normal: below 10 ms on the same machine; else the way between them.', unit: 's', width: 8, queries: [[`max by (relay, transport) (${series('turnpike_relay_probe_round_trip_seconds', RELAY)})`, '{{relay}} {{transport}}']] }),
    timeseries({ title: 'Probes', description: 'Probes each second by what came of them. Normal: one in the time between two probes, all passed.', unit: 'cps', width: 24, queries: [[orNone(perSecond('turnpike_relay_probes_total', ['relay', 'transport', 'result'], RELAY), 'result'), '{{relay}} {{transport}} {{result}}']] }),
  ]
}

function trouble (): Unplaced[] {
  return [
    timeseries({ title: 'Refused by coturn', description: 'What coturn refused each second, by cause, as its log tells. Normal: the few that the probe provokes; no_port means that the relay is full.', unit: 'cps', width: 8, queries: [[orNone(perSecond('turnpike_relay_refusals_total', ['relay', 'cause'], RELAY), 'cause'), '{{relay}} {{cause}}']] }),
    timeseries({ title: 'Lines of coturn\'s log', description: 'Lines each second, by level. Normal: hardly any errors.', unit: 'cps', width: 8, queries: [[orNone(perSecond('turnpike_relay_log_lines_total', ['relay', 'level'], RELAY), 'level'), '{{relay}} {{level}}']] }),
    timeseries({ title: 'Reconciliations', description: 'Comparisons of our table of allocations with coturn\'s own, each second. Normal: same; mended now and then after a lost report.', unit: 'cps', width: 8, queries: [[orNone(perSecond('turnpike_relay_reconciliations_total', ['relay', 'result'], RELAY), 'result'), '{{relay}} {{result}}']] }),
  ]
}

function life (): Unplaced[] {
  return [
    stat({ title: 'Restarts', description: 'Restarts in the time shown, by reason: an error code, or asked by an operator. Normal: none; each ends calls.', unit: 'none', width: 6, decimals: 0, thresholds: bad(1, 3), queries: [[orNone(grownBy('turnpike_relay_restarts_total', ['relay', 'reason'], RELAY), 'reason'), '{{relay}} {{reason}}']] }),
    stat({ title: 'Upgrades', description: 'Changes of the relay to another coturn in the time shown. Normal: done; rolled_back means that the new one was not proved.', unit: 'none', width: 6, decimals: 0, queries: [[orNone(grownBy('turnpike_relay_upgrades_total', ['relay', 'result'], RELAY), 'result'), '{{relay}} {{result}}']] }),
    stat({ title: 'Left on a coturn that drains', description: 'Allocations that live on a coturn that is being drained. Normal: 0, or falling.', unit: 'none', width: 4, thresholds: { below: 'green', from: [[1, 'orange']] }, queries: [[orZero(sum('turnpike_relay_draining_allocations', [], RELAY)), 'allocations']] }),
    stat({ title: 'Changes of address', description: 'Times that the public address was found to have changed, in the time shown. Normal: 0 where the address is fixed.', unit: 'none', width: 4, decimals: 0, queries: [[orZero(grownBy('turnpike_relay_address_changes_total', [], RELAY)), 'changes']] }),
    stat({ title: 'Certificate', description: 'Time until the certificate that is served ends. Normal: more than 14 days; 0 where none is served.', unit: 's', width: 4, thresholds: good(14 * 86_400, 2 * 86_400), queries: [[orZero('min by (use) ((turnpike_certificate_expiry_timestamp_seconds > 0) - time())'), '{{use}}']] }),
    timeseries({ title: 'New certificates', description: 'Certificates that were found, by whether they were taken. Normal: installed when you renew; refused means that the old one is served on.', unit: 'none', width: 12, bars: true, queries: [[orNone('sum by (use, result) (increase(turnpike_certificate_reloads_total[$__rate_interval]))', 'result'), '{{use}} {{result}}']] }),
    timeseries({ title: 'Orders of certificates', description: 'Certificates asked for by ACME. Normal: issued, now and then; failed is tried again, and /readyz says what is in the way.', unit: 'none', width: 12, bars: true, queries: [[orNone('sum by (result) (increase(turnpike_acme_orders_total[$__rate_interval]))', 'result'), '{{result}}']] }),
  ]
}
