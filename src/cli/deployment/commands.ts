/** The operator's commands: Turnpike as something that this machine keeps running. */
import { createInterface } from 'node:readline/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { loadConfig } from '../../config/load.ts'
import { TurnpikeError } from '../../protocol/errors.ts'
import { UsageError, type Command, type Input, type World } from '../command.ts'
import { renderFindings } from '../doctor.ts'
import { ComposeProject } from './compose-project.ts'
import { composeDeployment } from './compose.ts'
import type { Deployment } from './deployment.ts'
import { createPrograms } from './programs.ts'
import { findings, inWords, whyNotReady } from './readiness.ts'
import { systemdDeployment } from './systemd.ts'
import { upgrade } from './upgrade.ts'
import { chooseDeployment, findDeployment, whyNoCompose, type Known } from './which.ts'

type LocalCommand = Command & { run (input: Input, world: World): Promise<number> }

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const READY_WITHIN_MS = 90_000
const SETTLED_WITHIN_MS = 15_000

export const DEPLOYMENT_COMMANDS: Readonly<Record<string, LocalCommand>> = {
  up: {
    summary: 'Start Turnpike on this machine and keep it running: with Docker Compose, or by systemd.',
    args: [],
    options: { domain: { value: 'name', text: 'that people reach this machine by; asked for at a terminal where it is not known' }, profile: { value: 'minimal|full', text: 'full: with Prometheus and Grafana; for Docker Compose' } },
    run: leavable(up),
  },
  status: { summary: 'What runs here, and how it is; 1 where it is not ready.', args: [], options: { json: { value: null, text: 'as JSON' } }, run: status },
  logs: {
    summary: 'The last of the logs.',
    args: ['service?'],
    options: { follow: { value: null, text: 'and what comes, until Ctrl-C' } },
    run: async ({ args: [service = null], switches }, world) => await (await here(world)).logs({ follow: switches.has('follow'), service }),
  },
  upgrade: {
    summary: 'Put this version in the place of the one that runs: no call dropped, and undone where it is not well.',
    args: [],
    options: {},
    run: async (_input, world) => {
      const deployment = await here(world)
      const isNew = await upgrade(deployment, say)
      const { version } = await deployment.parts()
      print(isNew ? `upgraded: ${version}\n` : `${version} runs already, and nothing was changed: bring the files of the new one, and run node bin/turnpike.mjs upgrade in their directory\n`)
      return 0
    },
  },
  uninstall: {
    summary: 'Take everything of it away from this machine, data too.',
    args: [],
    options: { 'keep-data': { value: null, text: 'the database, certificates and settings stay' }, yes: { value: null, text: 'do it without asking' } },
    run: leavable(uninstall),
  },
}

async function up ({ options }: Input, world: World): Promise<number> {
  const deployment = await chooseDeployment(known(world))
  say(`with ${deployment.kind}`)
  const profile = options['profile'] ?? null
  if (profile !== null && profile !== 'minimal' && profile !== 'full') throw new UsageError(`--profile ${profile} is neither minimal nor full`)
  if (profile === 'full' && deployment.kind === 'systemd') throw new UsageError('--profile full is for Docker Compose: a service of systemd has no Prometheus and no Grafana')
  const domain = options['domain'] || world.env['TURNPIKE_DOMAIN'] || await askForDomain(deployment)
  if (domain !== null) requireDomain(domain)
  await deployment.start({ profile, domain })
  const notReady = await whyNotReady(deployment, READY_WITHIN_MS)
  if (notReady !== null) throw new TurnpikeError('deployment-failed', `it was started, and goes on trying; ${notReady}`)
  await deployment.remember()
  print(await deployment.summary())
  const found = await findings(deployment)
  const wrong = found.filter(({ result }) => result !== 'ok')
  print(wrong.length === 0 ? 'The doctor finds everything well.\n' : `What the doctor finds:\n\n${renderFindings(wrong)}`)
  print(`\nkeys:  ${deployment.commandLine} keys first; so do the other commands begin: ${deployment.commandLine} doctor\nnext:  node bin/turnpike.mjs status, logs, uninstall; upgrade in the directory of a newer version\n`)
  const troubles = await lasting(deployment)
  if (troubles.length > 0) throw new TurnpikeError('deployment-failed', `Turnpike is ready, but not all of it runs. ${troubles.join('\n')}`)
  return 0
}

/** What does not run yet may be about to. */
async function lasting (deployment: Deployment): Promise<string[]> {
  const endsAt = performance.now() + SETTLED_WITHIN_MS
  for (;;) {
    const troubles = await deployment.troubles()
    if (troubles.length === 0 || performance.now() > endsAt) return troubles
    await wait(1000)
  }
}

/** Before it is written anywhere. */
function requireDomain (name: string): void {
  const wrong = loadConfig({ env: { TURNPIKE_DOMAIN: name }, readFile: () => '' }).problems.find(({ where }) => where.includes('TURNPIKE_DOMAIN'))
  if (wrong !== undefined) throw new UsageError(`the domain ${wrong.message}`)
}

async function status ({ switches }: Input, world: World): Promise<number> {
  const deployment = await here(world)
  const [readiness, parts] = [await deployment.readiness(), await deployment.parts()]
  const troubles = await deployment.troubles()
  const isReady = readiness?.ready === true && troubles.length === 0
  if (switches.has('json')) print(`${JSON.stringify({ kind: deployment.kind, version: parts.version, readiness, troubles }, null, 2)}\n`)
  else print(`${deployment.kind}, ${parts.version}: ${[inWords(readiness), ...troubles].join('\n')}\n\n${parts.text}\n${(await deployment.turnpike(['relays', 'list'])).out}`)
  return isReady ? 0 : 1
}

async function uninstall ({ switches }: Input, world: World): Promise<number> {
  const deployment = await here(world)
  const keepData = switches.has('keep-data')
  if (!switches.has('yes') && !await agrees(`This ends all calls and takes Turnpike away${keepData ? '' : ', its keys and data too'}. Go on? (yes) `)) return 1
  const left = await deployment.uninstall({ keepData })
  if (left.length > 0) throw new TurnpikeError('deployment-failed', `this is left: ${left.join(', ')}`)
  print(keepData ? 'Turnpike is gone; its data is kept.\n' : 'Turnpike is gone.\n')
  return 0
}

/** Throws deployment-missing. */
async function here (world: World): Promise<Deployment> {
  const all = known(world)
  const found = await findDeployment(all)
  if (found !== null) return found
  const noCompose = await whyNoCompose(all.programs)
  throw new TurnpikeError('deployment-missing', `the unit turnpike.service is not here, and ${noCompose === null ? `neither is Docker Compose's project ${all.project.name()}` : noCompose}`)
}

function known ({ env, version }: World): Known & { project: ComposeProject } {
  const programs = createPrograms(env, ROOT)
  const project = new ComposeProject(ROOT, env)
  return { programs, project, compose: composeDeployment(project), systemd: systemdDeployment({ root: ROOT, version, programs }) }
}

async function askForDomain (deployment: Deployment): Promise<string | null> {
  if (process.stdin.isTTY !== true || deployment.domain() !== null || await deployment.isThere()) return null
  const name = await ask('Name that people reach this machine by, such as turnpike.example.org\n(empty: plain TURN, and HTTP on this machine alone; with a name HTTPS, and TURN over TLS): ')
  return name === '' ? null : name
}

async function agrees (question: string): Promise<boolean> {
  if (process.stdin.isTTY !== true) throw new UsageError('uninstall needs --yes where nobody can be asked')
  return await ask(question) === 'yes'
}

/** Ctrl-C or Ctrl-D at a question is an answer: nothing is done. */
function leavable (command: LocalCommand['run']): LocalCommand['run'] {
  return async (input, world) => {
    try {
      return await command(input, world)
    } catch (error) {
      if ((error as { code?: string }).code !== 'ABORT_ERR') throw error
      process.stderr.write('\n')
      return 1
    }
  }
}

async function ask (question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return (await lines.question(question)).trim()
  } finally {
    lines.close()
  }
}

function say (line: string): void {
  process.stderr.write(`turnpike: ${line}\n`)
}

function print (text: string): void {
  process.stdout.write(text)
}
