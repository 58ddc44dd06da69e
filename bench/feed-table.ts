/**
 * 10,000 allocations that live, of 20 projects, told as coturn tells them: what they take of our memory, the ledger included, and how long GET /metrics
 * takes then, with every route and every project in it, against a bare prom-client registry with as many series. To be run with --expose-gc.
 */
import { setTimeout as wait } from 'node:timers/promises'
import Fastify from 'fastify'
import { Gauge, Registry } from 'prom-client'
import { startFedApp } from './coturns.ts'
import { median, report } from './processes.ts'

const ALLOCATIONS = 10_000
const ROUNDS = 3
const SCRAPES = 31

const { app, source } = await startFedApp()

async function memory (): Promise<number> {
  for (let i = 0; i < 3; i++) {
    // The usual kind leaves behind what a heap snapshot does not find.
    globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' })
    await wait(300)
  }
  const { heapUsed, external } = process.memoryUsage()
  return (heapUsed + external) / 1e6
}

/** Asked without a key, so that each route is counted and nothing is changed. */
async function askEveryRoute (): Promise<void> {
  const { paths } = await (await fetch(`${app.url()}/v1/openapi.json`)).json() as { paths: Record<string, object> }
  for (const [path, methods] of Object.entries(paths)) {
    for (const method of Object.keys(methods)) await (await fetch(app.url() + path.replaceAll(/\{\w+\}/g, 'bench-0'), { method: method.toUpperCase() })).text()
  }
}

type Sample = { name: string, labels: Record<string, string>, value: number }

function samplesIn (text: string): Sample[] {
  return text.split('\n').filter(line => line !== '' && !line.startsWith('#')).map(line => {
    const [, name = '', labels = '', value = ''] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
    return { name, labels: Object.fromEntries([...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label = '', text = '']) => [label, text])), value: Number(value) }
  })
}

/** The same samples as gauges, and nothing else. */
async function startBare (samples: readonly Sample[]): Promise<string> {
  const registry = new Registry()
  for (const [name, of] of Map.groupBy(samples, sample => sample.name)) {
    const gauge = new Gauge({ name, help: 'As many.', labelNames: [...new Set(of?.flatMap(({ labels }) => Object.keys(labels)))], registers: [registry] })
    for (const { labels, value } of of ?? []) gauge.set(labels, value)
  }
  const server = Fastify()
  server.get('/metrics', async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()))
  return await server.listen({ host: '127.0.0.1', port: 0 })
}

async function scrape (url: string): Promise<{ ms: number, text: string }> {
  const began = performance.now()
  const text = await (await fetch(`${url}/metrics`)).text()
  return { ms: performance.now() - began, text }
}

const grown: number[] = []
// The first time what is compiled and kept for later is measured too.
for (let i = 0; i <= ROUNDS; i++) {
  const before = await memory()
  await source.say(`begin ${ALLOCATIONS}`)
  await source.say(`run ${ALLOCATIONS} 1000`)
  if (i > 0) grown.push(await memory() - before)
  if (i < ROUNDS) await source.say('end')
}
report(`MB that ${ALLOCATIONS} live allocations take, heap and external`, grown, '≤ 20')

await askEveryRoute()
const ours = app.metricsUrl().replace(/\/metrics$/, '')
const samples = samplesIn((await scrape(ours)).text)
const bare = await startBare(samples)
const times: { ours: number, bare: number }[] = []
for (let i = 0; i < SCRAPES; i++) {
  times.push({ ours: (await scrape(ours)).ms, bare: (await scrape(bare)).ms })
  await wait(50)
}
const settled = times.slice(SCRAPES >> 1)
report(`ms of GET /metrics with ${samples.length} series`, settled.map(time => time.ours), '≤ 20')
report('the same ÷ a bare prom-client registry with as many series', [median(settled.map(time => time.ours)) / median(settled.map(time => time.bare))], '≤ 1.5')
await app.stop(2000)
process.exit(0)
