/** `npm test`: brings the tools that the tests need where that is possible, then lint, types and every test; ends with the sums on a line of their own. */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { judgeCoverage } from './coverage.ts'

/** Program → Debian package, and why the tests need it. */
const TOOLS = [
  ['turnserver', 'coturn', 'the relay that everything is tested against'],
  ['chromium', 'chromium', 'calls in a real browser'],
  ['dockerd', 'docker.io', 'the docker driver and the compose file'],
  ['docker', 'docker-cli', 'the compose file'],
  ['debootstrap', 'debootstrap', 'stand-in base images where no registry is reachable'],
  ['promtool', 'prometheus', 'metrics, dashboards and alerts'],
  ['systemd-analyze', 'systemd', 'the unit of the service'],
  ['ip', 'iproute2', 'network namespaces'],
  ['nft', 'nftables', 'NATs between the namespaces'],
  ['curl', 'curl', 'clients that are programs'],
  ['python3', 'python3', 'programs in the docs'],
  ['php', 'php-cli', 'the same'],
  ['zsh', 'zsh', 'completion in the shell that it is for'],
  ['openssl', 'openssl', 'certificates of the tests'],
  ['pebble', 'pebble', 'a certificate authority that speaks ACME'],
  ['haproxy', 'haproxy', 'HTTPS and TURN over TLS on one port'],
  ['certutil', 'libnss3-tools', 'a browser that trusts a certificate of the tests'],
  ['taskset', 'util-linux', 'benchmarks on a core of their own'],
] as const

const RESULTS = 'coverage/results.json'
/** What shares nothing with the integration tests, in processes of their own beside them; whatever asks the Docker engine, one after another. */
const BESIDE = { calls: ['browser', 'signaling', 'network', 'minutes'], docker: ['unit', 'repo', 'docker', 'compose'] } as const
type Beside = keyof typeof BESIDE
/** Lines of src/ that tests must run, in percent. */
const LEAST_COVERAGE = 90

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

const VITEST = ['node_modules/vitest/vitest.mjs', 'run']

function runTests (projects: readonly string[], isWhole: boolean): boolean {
  rmSync(RESULTS, { force: true })
  return run(process.execPath, [...VITEST, ...(isWhole ? ['--coverage'] : []), ...projects.flatMap(name => ['--project', name]), '--reporter=default', '--reporter=json', `--outputFile.json=${RESULTS}`])
}

/** What tests beside leave: outside the directory that the report of the others empties. */
function filesOf (name: Beside): { results: string, said: string, coverage: string } {
  const directory = `node_modules/.cache/beside-${name}`
  return { results: `${directory}/results.json`, said: `${directory}/said.log`, coverage: `${directory}/coverage` }
}

/** Resolves to whether they went well; what they said is printed then. */
function runBeside (name: Beside): () => Promise<boolean> {
  const { results, said, coverage } = filesOf(name)
  mkdirSync(dirname(results), { recursive: true })
  rmSync(results, { force: true })
  // A file, because nobody reads a pipe while the others run.
  const log = openSync(said, 'w')
  const child = spawn(process.execPath, [...VITEST, ...BESIDE[name].flatMap(project => ['--project', project]), '--coverage', `--coverage.reportsDirectory=${coverage}`, '--reporter=default', '--reporter=json', `--outputFile.json=${results}`], { stdio: ['ignore', log, log] })
  const ended = new Promise<boolean>(resolve => child.on('exit', code => resolve(code === 0)))
  return async () => {
    const wentWell = await ended
    process.stdout.write(`\n› beside the others: ${BESIDE[name].join(', ')}\n${readFileSync(said, 'utf8')}`)
    return wentWell
  }
}

function printSums (files: readonly string[]): void {
  const results = files.filter(existsSync).map(file => JSON.parse(readFileSync(file, 'utf8')) as { numPassedTests: number, numFailedTests: number })
  const sum = (name: 'numPassedTests' | 'numFailedTests'): number => results.reduce((total, result) => total + result[name], 0)
  if (results.length > 0) process.stdout.write(`\n${sum('numPassedTests')} passed, ${sum('numFailedTests')} failed\n`)
}

/** Takes a minute or two of downloads on a machine that has none yet: begun now, it is there when the first test needs it. */
function prepareImages (): void {
  if (process.getuid?.() !== 0 || !has('debootstrap')) return
  const making = spawn('scripts/make-test-images.sh', ['root'], { stdio: 'ignore', detached: true })
  making.on('error', () => {})
  making.unref()
}

const quick = process.argv.includes('--quick')
if (!quick) bringTools()
if (!quick) prepareImages()
const names = quick ? [] : Object.keys(BESIDE) as Beside[]
const beside = names.map(runBeside)
const linted = run(process.execPath, ['node_modules/eslint/bin/eslint.js', '.'])
const typed = run(process.execPath, ['node_modules/typescript/bin/tsc'])
const tested = runTests(quick ? ['unit', 'repo'] : ['integration'], !quick)
let besideToo = true
for (const ended of beside) besideToo = await ended() && besideToo
printSums([RESULTS, ...names.map(name => filesOf(name).results)])
const coverage = quick ? null : judgeCoverage(['coverage/lcov.info', ...names.map(name => `${filesOf(name).coverage}/lcov.info`)], { least: LEAST_COVERAGE, haveFailed: !tested || !besideToo })
if (coverage !== null) process.stdout.write(`${coverage.words}\n`)
if (!linted) process.stdout.write('lint failed\n')
if (!typed) process.stdout.write('types failed\n')
process.exitCode = linted && typed && tested && besideToo && coverage?.isEnough !== false ? 0 : 1
