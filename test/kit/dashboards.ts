/** The dashboards as they are shipped, and what their panels ask Prometheus. */
import { globSync, readFileSync } from 'node:fs'
import type { AnnotationQuery, Dashboard, Panel } from '@grafana/schema'

export type PanelExpression = { dashboard: string, panel: string, expr: string, legend: string }
type Target = { expr: string, legendFormat: string }

const FOLDER = 'compose/grafana/dashboards'

export function dashboards (): { file: string, dashboard: Dashboard, panels: Panel[] }[] {
  return globSync(`${FOLDER}/*.json`).sort().map(file => {
    const dashboard = JSON.parse(readFileSync(file, 'utf8')) as Dashboard
    return { file, dashboard, panels: (dashboard.panels ?? []).filter(panel => panel.type !== 'row') as Panel[] }
  })
}

/** Every expression of every panel as Prometheus is asked when all projects, regions and relays are chosen. */
export function dashboardExpressions (): PanelExpression[] {
  return dashboards().flatMap(({ dashboard, panels }) => panels.flatMap(({ title = '', targets = [] }) => (targets as Target[]).map(({ expr, legendFormat }) => ({ dashboard: dashboard.title ?? '', panel: title, expr: substituted(expr), legend: legendFormat }))))
}

/** The same for what draws the vertical lines. It has an answer only where something happened. */
export function annotationExpressions (): { dashboard: string, name: string, expr: string }[] {
  return dashboards().flatMap(({ dashboard }) => annotationsOf(dashboard).map(({ name, target }) => ({ dashboard: dashboard.title ?? '', name, expr: substituted((target as unknown as Target).expr) })))
}

export function annotationsOf (dashboard: Dashboard): AnnotationQuery[] {
  return dashboard.annotations?.list ?? []
}

export function substituted (expression: string): string {
  return expression.replaceAll('$__rate_interval', '1m').replaceAll('$__range', '1h').replaceAll(/\$(project|region|relay)\b/g, '.*')
}
