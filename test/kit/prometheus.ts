/** A real Prometheus that scrapes one target each second, with the rules that are shipped; it ends with the test. */
import { realpathSync, writeFileSync } from 'node:fs'
import { RULES_FILE } from './alerts.ts'
import { run } from './command.ts'
import { freePorts, scratchDirectory, until } from './files.ts'

export type Series = { metric: Record<string, string>, value: [number, string] }
export type Prometheus = { url: string, query (expression: string): Promise<Series[]>, get (path: string): Promise<unknown> }

export async function startPrometheus (metricsUrl: string): Promise<Prometheus> {
  const directory = scratchDirectory()
  const { host, pathname } = new URL(metricsUrl)
  writeFileSync(`${directory}/prometheus.yml`, JSON.stringify({
    global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
    rule_files: [realpathSync(RULES_FILE)],
    scrape_configs: [{ job_name: 'turnpike', metrics_path: pathname, static_configs: [{ targets: [host] }] }],
  }))
  const [port] = await freePorts(1)
  const { PATH: path = '' } = process.env
  const program = run('prometheus', [`--config.file=${directory}/prometheus.yml`, `--storage.tsdb.path=${directory}/data`, `--web.listen-address=127.0.0.1:${port}`, '--log.level=warn'], { PATH: `${path}:/usr/sbin:/sbin` })
  const url = `http://127.0.0.1:${port}`
  await until(`Prometheus is ready: ${program.all()}`, async () => await fetch(`${url}/-/ready`).then(({ ok }) => ok, () => false), 20_000)
  const get = async (question: string): Promise<unknown> => {
    const answer = await (await fetch(url + question)).json() as { status: string, data: unknown, error?: string }
    if (answer.status !== 'success') throw new Error(`${decodeURIComponent(question)}: ${answer.error}`)
    return answer.data
  }
  return { url, get, query: async expression => (await get(`/api/v1/query?query=${encodeURIComponent(expression)}`) as { result: Series[] }).result }
}
