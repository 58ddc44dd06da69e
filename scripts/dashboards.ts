/** The Grafana dashboards that compose brings, as files; `npm run docs` writes them. */
import type { Dashboard } from '@grafana/schema'
import { credentials } from './dashboards/credentials.ts'
import { overview } from './dashboards/overview.ts'
import { processes } from './dashboards/process.ts'
import { relay } from './dashboards/relay.ts'
import { signaling } from './dashboards/signaling.ts'

export const DASHBOARDS: readonly Dashboard[] = [overview, relay, signaling, credentials, processes]

/** Each under the name of its uid, in the folder that compose mounts. */
export function dashboardFiles (): { file: string, text: string }[] {
  return DASHBOARDS.map(dashboard => ({ file: `compose/grafana/dashboards/${dashboard.uid}.json`, text: `${JSON.stringify(dashboard, null, 2)}\n` }))
}
