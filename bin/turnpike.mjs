#!/usr/bin/env node
/**
 * The way in for every Node.js from 18 on: brings the dependencies and Node.js 24 with it, then hands over to src/main.ts.
 * Plain JavaScript without dependencies, because it runs before any of them is there.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const WANTED_MAJOR = 24
const OLDEST_MAJOR = 18
/** What Node.js would let the garbage of the last moments grow to costs 10,000 peers that have joined at once as much again as they are themselves. */
const NODE_FLAGS = ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=16']
const RERUN_AFTER_INSTALL = 'TURNPIKE_INSTALLED'

/** Runs a script of this project (src/main.ts, or another) under Node.js 24 and becomes its exit code. */
function main (args) {
  if (major(process.versions.node) < OLDEST_MAJOR) {
    fail(69, `Node.js ${process.versions.node} is too old: Turnpike needs ${OLDEST_MAJOR} or newer to start, and brings Node.js ${WANTED_MAJOR} itself.\nInstall a newer one (https://nodejs.org), or use the Docker image.`)
  }
  const isTest = args[0] === '--run'
  if (!isInstalled(isTest)) install(isTest)
  const script = isTest ? args[1] : join(root, 'src/main.ts')
  run(findNode(), [...NODE_FLAGS, script, ...args.slice(isTest ? 2 : 0)])
}

/** npm writes this file last; it lists what is there, so a lockfile that asks for more means an installation is due. */
function isInstalled (withDevelopment) {
  const installed = join(root, 'node_modules/.package-lock.json')
  if (!existsSync(installed)) return false
  const have = JSON.parse(readFileSync(installed, 'utf8')).packages
  const want = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
  return Object.entries(want).every(([path, entry]) => path === '' || entry.optional || (entry.dev && !withDevelopment) || have[path]?.version === entry.version)
}

function install (withDevelopment) {
  if (process.env[RERUN_AFTER_INSTALL] !== undefined) fail(70, 'The dependencies are still not complete after npm ci. Remove node_modules and try again.')
  process.stderr.write('Installing dependencies and Node.js 24 (once) …\n')
  const npm = spawnSync('npm', ['ci', '--loglevel=error', '--no-audit', '--no-fund', ...(withDevelopment ? [] : ['--omit=dev'])], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
  if (npm.error !== undefined) fail(69, `npm could not be run (${npm.error.message}). Install npm 9 or newer.`)
  if (npm.status !== 0) fail(69, 'npm ci failed; its own words are above. Is the npm registry reachable from here?')
}

function findNode () {
  const brought = join(root, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin/node')
  if (existsSync(brought)) return brought
  if (major(process.versions.node) >= WANTED_MAJOR) return process.execPath
  fail(69, `There is no Node.js ${WANTED_MAJOR} for ${process.platform} on ${process.arch} to bring: install it (https://nodejs.org). This is ${process.versions.node}.`)
}

/** Becomes it, so that whoever ends this process ends Turnpike, kill -9 too. Before Node.js 22.15, which cannot, it stays as its parent. */
function run (node, args) {
  const { [RERUN_AFTER_INSTALL]: _, ...env } = process.env
  if (process.execve !== undefined) process.execve(node, [node, ...args], env)
  const child = spawn(node, args, { stdio: 'inherit', env })
  // A terminal sends SIGINT to the whole group already; a supervisor sends SIGTERM to this process alone.
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT']) process.on(signal, () => child.kill(signal))
  child.on('error', error => fail(70, `Node.js could not be started: ${error.message}`))
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

function major (version) {
  return Number(version.split('.')[0])
}

function fail (code, message) {
  process.stderr.write(`turnpike: ${message}\n`)
  process.exit(code)
}

main(process.argv.slice(2))
