/** What all dashboards have in common: the choice above them, links to each other, what happened (annotations), and where each panel stands. */
import { DashboardCursorSync, VariableHide, VariableRefresh, VariableSort, type AnnotationQuery, type Dashboard, type DashboardLink, type DataQuery, type Panel, type RowPanel, type VariableModel } from '@grafana/schema'
import { DATASOURCE, type Unplaced } from './panels.ts'

export type Section = { title: string, panels: Unplaced[] }
type Variable = 'project' | 'region' | 'relay'
type PromQuery = DataQuery & { expr: string, interval: string, legendFormat: string, range: true }

const COLUMNS = 24

/** A dashboard as Grafana 12 and 13 read it. `chosenBy` are the variables that it shows; the others are hidden, so that links carry them on. */
export function dashboard ({ uid, title, description, chosenBy, sections }: { uid: string, title: string, description: string, chosenBy: Variable[], sections: Section[] }): Dashboard {
  return {
    uid,
    title,
    description,
    tags: ['turnpike'],
    timezone: 'browser',
    // The last one that Grafana 12.1 knows; newer ones read it.
    schemaVersion: 41,
    version: 1,
    editable: false,
    graphTooltip: DashboardCursorSync.Crosshair,
    refresh: '10s',
    time: { from: 'now-1h', to: 'now' },
    templating: { list: (['project', 'region', 'relay'] as const).map(name => variable(name, chosenBy.includes(name))) },
    annotations: { list: ANNOTATIONS },
    links: [OTHERS],
    panels: placed(sections),
  } satisfies Dashboard
}

const OTHERS: DashboardLink = { type: 'dashboards', title: 'Turnpike', tags: ['turnpike'], asDropdown: false, includeVars: true, keepTime: true, targetBlank: false, icon: 'external link', tooltip: '' }

const CHOICES: Record<Variable, { label: string, query: string, allValue?: string }> = {
  project: { label: 'Project', query: 'label_values({__name__=~"turnpike_credentials_issued_total|turnpike_signaling_sockets|turnpike_relay_bytes_total"}, project)', allValue: '.*' },
  // A relay without a region is in "All" too.
  region: { label: 'Region', query: 'label_values(turnpike_relay_info, region)', allValue: '.*' },
  // No value of its own for "All": it stands for the relays of the chosen regions.
  relay: { label: 'Relay', query: 'label_values(turnpike_relay_info{region=~"$region"}, relay)' },
}

function variable (name: Variable, isShown: boolean): VariableModel {
  const { label, query, allValue } = CHOICES[name]
  return {
    type: 'query',
    name,
    label,
    datasource: DATASOURCE,
    query: { qryType: 5, query, refId: `variable-${name}` },
    refresh: VariableRefresh.onTimeRangeChanged,
    sort: VariableSort.alphabeticalAsc,
    hide: isShown ? VariableHide.dontHide : VariableHide.hideVariable,
    multi: true,
    includeAll: true,
    ...(allValue === undefined ? {} : { allValue }),
    current: { text: ['All'], value: ['$__all'] },
  }
}

/** Events in the last minute; a counter that has just come into being counts from nothing. */
function events (counter: string, by: string): string {
  return `sum by (${by}) ((increase(${counter}[1m]) and ${counter} offset 1m) or ${counter}) > 0`
}

const ANNOTATIONS: AnnotationQuery[] = [
  annotation('Restarts', 'red', events('turnpike_relay_restarts_total{relay=~"$relay"}', 'relay, reason'), 'restart of {{relay}}: {{reason}}'),
  annotation('Drains', 'orange', 'max by (relay) (turnpike_relay_draining{relay=~"$relay"}) == 1', '{{relay}} is draining'),
  annotation('Upgrades', 'blue', events('turnpike_relay_upgrades_total{relay=~"$relay"}', 'relay, result'), 'upgrade of {{relay}}: {{result}}'),
  annotation('Rotations', 'purple', 'increase(turnpike_secret_rotations_total[1m]) > 0', 'the TURN secret was rotated'),
]

function annotation (name: string, iconColor: string, expr: string, text: string): AnnotationQuery & { titleFormat: string } {
  const target: PromQuery = { refId: name, expr, interval: '60s', legendFormat: text, range: true }
  // titleFormat is the data source's own; it stands beside the target, as Grafana's editor writes it.
  return { name, enable: true, hide: false, iconColor, datasource: DATASOURCE, target, titleFormat: text }
}

/** Left to right, line by line, each section under a row of its own. */
function placed (sections: Section[]): (Panel | RowPanel)[] {
  const all: (Panel | RowPanel)[] = []
  let y = 0
  for (const { title, panels } of sections) {
    all.push({ id: all.length + 1, type: 'row', title, collapsed: false, gridPos: { h: 1, w: COLUMNS, x: 0, y }, panels: [] })
    y += 1
    let x = 0
    let lineHeight = 0
    for (const { width, height, ...panel } of panels) {
      if (x + width > COLUMNS) {
        x = 0
        y += lineHeight
        lineHeight = 0
      }
      all.push({ id: all.length + 1, ...panel, gridPos: { h: height, w: width, x, y } })
      x += width
      lineHeight = Math.max(lineHeight, height)
    }
    y += lineHeight
  }
  return all
}
