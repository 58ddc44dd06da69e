/** `npm test`: brings the tools that the tests need where that is possible, then lint, types and every test; ends with the sums on a line of their own. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'

/** Program → Debian package, and why the tests need it. */
const TOOLS = [
  ['turnserver', 'coturn', 'the relay that everything is tested against'],
  ['chromium', 'chromium', 'calls in a real browser'],
  ['dockerd', 'docker.io', 'the docker driver and the compose file'],
  ['docker', 'docker-cli', 'the compose file'],
  ['debootstrap', 'debootstrap', 'stand-in base images where no registry is reachable'],
  ['promtool', 'prometheus', 'metrics, dashboards and alerts'],
  ['ip', 'iproute2', 'network namespaces'],
  ['nft', 'nftables', 'NATs between the namespaces'],
  ['curl', 'curl', 'clients that are programs'],
  ['zsh', 'zsh', 'completion in the shell that it is for'],
  ['openssl', 'openssl', 'certificates of the tests'],
  ['taskset', 'util-linux', 'benchmarks on a core of their own'],
] as const

const RESULTS = 'coverage/results.json'

function run (program: string, args: readonly string[]): boolean {
  process.stdout.write(`\n› ${program.replace(/^.*node_modules\//, '')} ${args.filter(arg => !arg.startsWith('--reporter')).join(' ')}\n`)
  return spawnSync(program, args, { stdio: 'inherit' }).status === 0
}

function has (program: string): boolean {
  return (process.env['PATH'] ?? '').split(':').concat('/usr/sbin', '/sbin').some(directory => existsSync(`${directory}/${program}`))
}

function bringTools (): void {
  const missing = TOOLS.filter(([program]) => !has(program))
  if (missing.length === 0) return
  for (const [program, debianPackage, why] of missing) process.stdout.write(`missing: ${program} (Debian package ${debianPackage}): ${why}\n`)
  if (process.getuid?.() !== 0 || !has('apt-get')) {
    process.stdout.write('Install them, or run npm test as root on Debian. The tests that need them fail.\n')
    return
  }
  process.stdout.write('Installing them with apt-get, because this is root on Debian.\n')
  // Debian would start coturn, Prometheus and Docker as services; the tests start their own.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  spawnSync('apt-get', ['update', '-qq'], { stdio: 'inherit', env })
  const available = missing.map(([, debianPackage]) => debianPackage).filter(name => spawnSync('apt-cache', ['show', name], { stdio: 'ignore' }).status === 0)
  spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...new Set(available)], { stdio: ['ignore', 'ignore', 'inherit'], env })
}

function runTests (projects: readonly string[]): boolean {
  rmSync(RESULTS, { force: true })
  const coverage = projects.length === 0 ? ['--coverage'] : []
  return run(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...coverage, ...projects.flatMap(name => ['--project', name]), '--reporter=default', '--reporter=json', `--outputFile.json=${RESULTS}`])
}

function printSums (): void {
  if (!existsSync(RESULTS)) return
  const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(RESULTS, 'utf8')) as { numPassedTests: number, numFailedTests: number }
  process.stdout.write(`\n${numPassedTests} passed, ${numFailedTests} failed\n`)
}

const quick = process.argv.includes('--quick')
if (!quick) bringTools()
const linted = run(process.execPath, ['node_modules/eslint/bin/eslint.js', '.'])
const typed = run(process.execPath, ['node_modules/typescript/bin/tsc'])
const tested = runTests(quick ? ['unit', 'repo'] : [])
printSums()
if (!linted) process.stdout.write('lint failed\n')
if (!typed) process.stdout.write('types failed\n')
process.exitCode = linted && typed && tested ? 0 : 1
