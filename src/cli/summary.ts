/** The few lines that a person reads after the start: where the call page is, the URLs, the keys, a line to paste, the ports to open. */
import { errorEntry } from '../protocol/errors.ts'
import type { App } from '../app.ts'

export type SummaryNeeds = { callPage: boolean, publicHost: string, /** What is printed elsewhere stays in a log. */ atTerminal: boolean, /** Where the first keys are kept; null where they are not. */ keysFile: string | null }

/** The summary of an app that has started. Keys stand in it only where this start has made them, and only at a terminal. */
export function renderSummary (app: Pick<App, 'firstKeys' | 'relayHealth' | 'decisions' | 'firewall' | 'url' | 'httpsUrl' | 'certificateStatus' | 'iceUrls'>, { callPage, publicHost, atTerminal, keysFile }: SummaryNeeds): string {
  const bold = (text: string): string => (atTerminal ? `\u001b[1m${text}\u001b[22m` : text)
  const health = app.relayHealth()
  const { adminKey, apiKey } = atTerminal ? app.firstKeys() : { adminKey: null, apiKey: null }
  const url = app.url()
  const lines = [
    '',
    relayLine(health, bold),
    ...health.warnings.map(warning => `  warning: ${warning}`),
    ...app.decisions().map(decision => `  ${decision}`),
    ...certificateLines(app.certificateStatus()),
    '',
    ...(callPage ? callPageLines(url, app.httpsUrl(), publicHost, bold) : []),
    `  API         ${url}/v1/docs`,
    `  STUN, TURN  ${app.iceUrls().join('  ') || 'none until the relay is proved'}`,
    '',
    ...(apiKey === null ? [] : [`  API key     ${bold(apiKey)}   (project default; shown only now)`]),
    ...(adminKey === null ? [] : [`  admin key   ${bold(adminKey)}   (shown only now)`]),
    ...(keysFile === null ? [] : [`  first keys  in ${keysFile}: turnpike keys first shows them, turnpike keys first --delete deletes the file`]),
    '  try it:',
    `  curl -sS -X POST ${url}/v1/turn/credentials -H ${shellKey(apiKey)}`,
    '',
    '  open in the firewall:',
    ...app.firewall().map(({ protocol, ports, what }) => `    ${`${protocol} ${ports}`.padEnd(18)} ${what}`),
    '',
  ]
  return `${lines.join('\n')}\n`
}

function relayLine (health: ReturnType<App['relayHealth']>, bold: (text: string) => string): string {
  const who = `coturn${health.version === null ? '' : ` ${health.version}`}, driver ${health.driver} (${health.why})`
  if (health.ready) return `${bold('Turnpike is up')}: the relay is proved — ${who}`
  const title = health.code === null ? health.state : errorEntry(health.code).title
  const cure = health.code === null ? '' : `\n  cure: ${errorEntry(health.code).cure} [${health.code}]`
  return `${bold('Turnpike is up, its relay is not')}: ${title} — ${health.reason}${cure}\n  ${who}; trying again by itself`
}

function certificateLines (status: ReturnType<App['certificateStatus']>): string[] {
  if (status === null || status.ready) return []
  const { domain, problem } = status
  return problem === null
    ? [`  the first certificate for ${domain} is being got; /readyz tells how far it is`]
    : [`  warning: no certificate for ${domain} yet: ${problem.reason}; trying again by itself [${problem.code}]`]
}

function callPageLines (url: string, httpsUrl: string | null, publicHost: string, bold: (text: string) => string): string[] {
  if (httpsUrl !== null) return [`  call page   ${bold(`${httpsUrl}/call/demo`)}   (open to everybody who reaches it; TURNPIKE_CALL_PAGE=off closes it)`]
  const port = new URL(url).port
  const elsewhere = `http://${publicHost}${port === '' ? '' : `:${port}`}/call/demo`
  return [
    `  call page   ${bold(`${url}/call/demo`)}   (open to everybody who reaches it; TURNPIKE_CALL_PAGE=off closes it)`,
    ...(elsewhere === `${url}/call/demo` ? [] : [`              ${elsewhere}   (from elsewhere: without https, browsers give no camera)`]),
  ]
}

/** A header that a shell takes as it is; a key that was shown before is asked for by name. */
function shellKey (apiKey: string | null): string {
  return apiKey === null ? '"Authorization: Bearer $TURNPIKE_API_KEY"' : `'Authorization: Bearer ${apiKey}'`
}
