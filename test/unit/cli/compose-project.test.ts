/** What is ours of a project of Docker Compose, against an engine that says what the test wants. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ComposeProject } from '../../../src/cli/deployment/compose-project.ts'
import { composeDeployment } from '../../../src/cli/deployment/compose.ts'
import { cleanUpAfterFile } from '../../kit/cleanup.ts'
import { scratchDirectory } from '../../kit/files.ts'
import { makeRelease } from '../../kit/release.ts'

cleanUpAfterFile()

type Facts = { title?: string, project?: string, env?: string[], state?: object, restarts?: number, volumes?: string[] }

/** What `docker inspect` says of a container of this service, made out of this directory. */
function part (service: string, directory: string, { title, project = 'turnpike', env = [], state = {}, restarts = 0, volumes = [] }: Facts = {}): object {
  const labels = { 'com.docker.compose.service': service, 'com.docker.compose.project': project, 'com.docker.compose.project.working_dir': directory }
  return {
    Id: service,
    Name: `/${service}`,
    Image: 'sha256:1',
    RestartCount: restarts,
    Config: { Image: 'x:1', Env: env, Labels: title === undefined ? labels : { ...labels, 'org.opencontainers.image.title': title } },
    State: { Status: 'running', StartedAt: '2020-01-01T00:00:00Z', ExitCode: 0, ...state },
    Mounts: volumes.map(Name => ({ Type: 'volume', Name, Destination: '/data' })),
  }
}

/** Where a program called docker is that knows these containers; `/data` is of this user. */
function pathWith (containers: readonly object[], owner = '65534'): string {
  const directory = scratchDirectory()
  writeFileSync(join(directory, 'inspect.json'), JSON.stringify(containers))
  writeFileSync(join(directory, 'docker'), `#!/bin/sh
case "$1 $2" in
  "version --format") echo 27.0.0 ;;
  "compose version") echo 2.30.1 ;;
  "ps -aq") ${containers.length === 0 ? ':' : 'echo 1'} ;;
  "inspect --type") cat ${directory}/inspect.json ;;
  "volume ls") printf 'p_data data\\np_pgdata pgdata\\n' ;;
  "exec "*) echo ${owner} ;;
esac
`, { mode: 0o755 })
  return `${directory}:${process.env['PATH'] ?? ''}`
}

function projectOver (containers: readonly object[], owner?: string): ComposeProject {
  const root = scratchDirectory()
  mkdirSync(join(root, 'compose'))
  return new ComposeProject(root, { PATH: pathWith(containers, owner) })
}

test.each([
  ['compose', 'of 0.4.0, known by its variable', [part('turnpike', '/srv/old/compose', { project: 'compose', env: ['TURNPIKE_DATA_DIR=/data'] })]],
  ['mine', 'known by its label', [part('turnpike', '/x', { project: 'mine', title: 'Turnpike' })]],
  ['turnpike', 'of somebody else', [part('turnpike', '/x', { project: 'theirs' })]],
  ['turnpike', 'not there', []],
])('the project is called %s where one that runs is %s', async (name, _what, containers) => {
  const project = projectOver(containers)
  await project.adopt()
  expect([project.name(), project.nameToKeep()]).toEqual([name, name === 'turnpike' ? null : name])
})

test('what others made under the same name is told apart', async () => {
  const ours = [part('turnpike', '/opt/t/compose', { title: 'Turnpike', volumes: ['p_data', 'shared'] }), part('edge', '/opt/t/compose')]
  const theirs = part('grafana', '/srv/theirs', { volumes: ['shared', 'p_grafana'] })
  expect(await projectOver(ours).parts()).toEqual({ containers: ['turnpike', 'edge'], volumes: ['p_data', 'shared'], networks: [], strangers: [] })
  expect(await projectOver([...ours, theirs]).parts()).toEqual({ containers: ['turnpike', 'edge'], volumes: ['p_data'], networks: [], strangers: ['grafana'] })
  expect(await composeDeployment(projectOver([theirs])).isThere()).toBe(false)
})

test('a part that does not run, ends again and again, or is not well, is told', async () => {
  const at = '/opt/t/compose'
  const [turnpike, now] = [part('turnpike', at, { title: 'Turnpike' }), new Date().toISOString()]
  expect(await projectOver([turnpike, part('edge', at, { restarts: 7 })]).ailing()).toEqual([])
  const ailing = await projectOver([turnpike, part('edge', at, { restarts: 7, state: { StartedAt: now } }), part('guard', at, { state: { Status: 'exited', ExitCode: 3 } }), part('grafana', at, { state: { Health: { Status: 'unhealthy' } } })]).ailing()
  expect(ailing.map(({ service, how }) => `${service}: ${how}`)).toEqual(['edge: ends and is started again, 7 times', 'guard: exited, exit code 3', 'grafana: unhealthy'])
})

test('up out of another directory while it runs is refused, and writes nothing', async () => {
  const project = projectOver([part('turnpike', '/srv/other/compose', { title: 'Turnpike' })])
  await expect(composeDeployment(project).start({ domain: null, profile: null })).rejects.toMatchObject({ code: 'deployment-failed', message: expect.stringContaining('out of /srv/other: run up there') })
  expect(existsSync(project.envFile)).toBe(false)
})

test('an upgrade of data that belong to root is refused before anything is done, with what to type', async () => {
  const project = projectOver([part('turnpike', '/x/compose', { project: 'compose', env: ['TURNPIKE_DATA_DIR=/data'], volumes: ['compose_data'] })], '0')
  await expect(composeDeployment(project).upgrading.prepare()).rejects.toMatchObject({ code: 'deployment-failed', message: expect.stringMatching(/user 0, [^]*chown -v compose_data:\/data x:1 -R 65534:65534 \/data\n {4}node bin\/turnpike\.mjs up$/) })
})

test('a name that is none is refused before it is written', async () => {
  const release = makeRelease(scratchDirectory(), { PATH: pathWith([]) })
  for (const name of ['https://good.example/', 'nodot', 'a b.example']) {
    const { code, err } = await release.turnpike('up', '--domain', name)
    expect([code, err]).toEqual([64, expect.stringContaining(`the domain is ${JSON.stringify(name)}; expected a host name`)])
  }
  expect(existsSync(join(release.directory, 'compose/.env'))).toBe(false)
}, 30_000)
