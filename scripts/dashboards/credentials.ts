/** Credentials and quotas: what is issued and refused, how much of the quotas is used, what is cut, webhooks, rotations, the ledger. */
import { dashboard } from './frame.ts'
import { bad, bars, stat, timeseries, type Unplaced } from './panels.ts'
import { grownBy, orNone, orZero, perSecond, PROJECT, quantile, RELAY, series } from './promql.ts'

export const credentials = dashboard({
  uid: 'turnpike-credentials',
  title: 'Turnpike: Credentials and quotas',
  description: 'What is issued and refused, how much of the quotas is used, what is cut, webhooks, rotations, the ledger.',
  chosenBy: ['project', 'region', 'relay'],
  sections: [
    { title: 'In the time shown', panels: inTheTime() },
    { title: 'Credentials', panels: issued() },
    { title: 'Quotas', panels: quotas() },
    { title: 'Webhooks and the ledger', panels: ledger() },
  ],
})

function inTheTime (): Unplaced[] {
  return [
    stat({ title: 'Credentials issued', description: 'TURN credentials issued in the time shown. Normal: at least one for each peer of a call.', unit: 'none', width: 6, decimals: 0, queries: [[orZero(grownBy('turnpike_credentials_issued_total', [], PROJECT)), 'issued']] }),
    stat({ title: 'Credentials refused', description: 'TURN credentials refused in the time shown. Normal: 0, unless a project has used its quota or is off.', unit: 'none', width: 6, decimals: 0, thresholds: { below: 'green', from: [[1, 'orange']] }, queries: [[orZero(grownBy('turnpike_credentials_refused_total', [], PROJECT)), 'refused']] }),
    stat({ title: 'Room tokens issued', description: 'Room tokens issued in the time shown. 0 for those who signal by themselves.', unit: 'none', width: 6, decimals: 0, queries: [[orZero(grownBy('turnpike_room_tokens_issued_total', [], PROJECT)), 'issued']] }),
    stat({ title: 'Rotations', description: 'Rotations of the TURN secret that were finished in the time shown. Normal: one every 30 days, by itself.', unit: 'none', width: 6, decimals: 0, queries: [[orZero(grownBy('turnpike_secret_rotations_total', [])), 'rotations']] }),
  ]
}

function issued (): Unplaced[] {
  return [
    timeseries({ title: 'Issued by project', description: 'TURN credentials each second. Normal: follows your day.', unit: 'cps', width: 12, stacked: true, queries: [[orNone(perSecond('turnpike_credentials_issued_total', ['project'], PROJECT), 'project'), '{{project}}']] }),
    timeseries({ title: 'Refused by reason', description: 'TURN credentials refused each second; the codes stand in docs/errors.md. Normal: none.', unit: 'cps', width: 12, queries: [[orNone(perSecond('turnpike_credentials_refused_total', ['project', 'reason'], PROJECT), 'reason'), '{{project}} {{reason}}']] }),
  ]
}

function quotas (): Unplaced[] {
  return [
    bars({ title: 'Quotas used', description: 'Share of each byte quota that is used in its day or month (UTC). Normal: below 90 %; at 100 % the project\'s quotaAction is done. 0 where there is no quota.', unit: 'percentunit', width: 12, min: 0, max: 1, thresholds: bad(0.8, 0.9), queries: [[orNone(`topk(20, max by (project, quota) (${series('turnpike_quota_used_ratio', PROJECT)}))`, 'project'), '{{project}} {{quota}}']] }),
    timeseries({ title: 'Allocations cut', description: 'Allocations that we ended, each second, by reason. Normal: none but expired and drained.', unit: 'cps', width: 12, queries: [[orNone(perSecond('turnpike_relay_cuts_total', ['relay', 'reason'], RELAY), 'reason'), '{{relay}} {{reason}}']] }),
  ]
}

function ledger (): Unplaced[] {
  return [
    timeseries({ title: 'Webhooks', description: 'Attempts to deliver a webhook, each second. Normal: delivered; given_up is an event that its receiver never got, unless it is replayed.', unit: 'cps', width: 8, queries: [[orNone(perSecond('turnpike_webhooks_total', ['result']), 'result'), '{{result}}']] }),
    timeseries({ title: 'Webhooks kept', description: 'Events that wait to be taken by their receivers, and dead ones, which were given up and can be replayed. Normal: close to 0; turnpike webhooks list tells which.', unit: 'none', width: 8, queries: [['sum by (state) (turnpike_webhook_deliveries)', '{{state}}']] }),
    stat({ title: 'Webhooks dropped', description: 'Events for webhooks that were never written down in the time shown, because there were too many. Normal: 0.', unit: 'none', width: 8, decimals: 0, thresholds: bad(1), queries: [[orZero(grownBy('turnpike_webhook_events_dropped_total', [])), 'dropped']] }),
    timeseries({ title: 'Writing the ledger', description: 'Time that a write of the ledger takes. Normal: a few milliseconds; 0 where nothing was relayed.', unit: 's', width: 8, queries: [[orZero(quantile(0.5, 'turnpike_usage_write_duration_seconds', [])), 'median'], [orZero(quantile(0.99, 'turnpike_usage_write_duration_seconds', [])), 'p99']] }),
    stat({ title: 'Writes that failed', description: 'Writes of the ledger that failed in the time shown. Normal: 0; what they held is in memory and is written later.', unit: 'none', width: 4, decimals: 0, thresholds: bad(1), queries: [[orZero(grownBy('turnpike_usage_write_failures_total', [])), 'failed']] }),
    stat({ title: 'Last write', description: 'Time since the ledger was written or had nothing to write. Normal: below 10 s.', unit: 's', width: 4, thresholds: bad(30, 120), queries: [['max(time() - (turnpike_usage_last_write_timestamp_seconds > 0))', 'ago']] }),
  ]
}
