/** Turnpike as a service: the real systemd of Debian 12 as process 1 of a container, installed there by the script with apt and npm, killed, upgraded, taken away. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { execFileSync } from 'node:child_process'
import { cleanUpAfterFile } from '../kit/cleanup.ts'
import { docker, requireDocker } from '../kit/docker.ts'
import { scratchDirectory, until } from '../kit/files.ts'
import { makeRelease, type Release } from '../kit/release.ts'

cleanUpAfterFile()
const MACHINE = `turnpike-test-systemd-${process.pid}`
const PLACES = ['/opt/turnpike', '/var/lib/turnpike', '/etc/turnpike', '/usr/local/bin/turnpike', '/etc/systemd/system/turnpike.service', '/var/backups/turnpike']
const READY = "fetch(JSON.parse(require('fs').readFileSync('/var/lib/turnpike/control.json')).url + '/readyz').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"

const on = (...command: string[]): string => docker('exec', MACHINE, ...command)
const shell = (script: string): string => on('bash', '-c', script)
const ended = (script: string): { code: number, all: string } => {
  const [, all = '', code = ''] = /^([^]*)\n?code=(\d+)$/.exec(shell(`{ ${script}; } 2>&1; echo "code=$?"`)) ?? []
  return { code: Number(code), all }
}
const isUp = (script: string): boolean => ended(script).code === 0
const untilReady = async (): Promise<void> => await until('the service is ready', () => isUp(`node -e "${READY}"`), 30_000)
const main = (): string => on('systemctl', 'show', '--property', 'MainPID', '--value', 'turnpike')
const coturn = (): string => shell('grep -lz turnserver /proc/[0-9]*/cmdline 2>/dev/null | grep -oE "[0-9]+" | sort | while read -r pid; do [ "$(cat /proc/$pid/comm)" != turnserver ] || echo $pid; done')

/** Its files go to the machine; the packages are those that the installed release has, as an operator's npm would bring them. */
function send (to: string, change: (made: Release) => void = () => {}): void {
  const made = makeRelease(scratchDirectory(), {})
  change(made)
  execFileSync('docker', ['cp', `${made.directory}/.`, `${MACHINE}:${to}`], { stdio: 'ignore' })
  shell(`rm -f ${to}/node_modules; ln -s /opt/turnpike/current/node_modules ${to}/node_modules`)
}

beforeAll(async () => {
  await requireDocker('systemd')
  // Either version of cgroups: the second has one tree, the first one of systemd's own.
  const groups = docker('info', '--format', '{{.CgroupVersion}}') === '2' ? '/sys/fs/cgroup' : '/sys/fs/cgroup/systemd'
  docker('run', '-d', '--name', MACHINE, '--cap-add', 'SYS_ADMIN', '--cap-add', 'NET_ADMIN', '--security-opt', 'seccomp=unconfined', '--security-opt', 'apparmor=unconfined', '--cgroupns=host', '-v', `${groups}:${groups}`, '--tmpfs', '/run', '--tmpfs', '/run/lock', '-e', 'container=docker', 'turnpike-test/systemd:bookworm')
  await until('systemd has started', () => /running|degraded/.test(ended('systemctl is-system-running').all), 60_000)
}, 300_000)

afterAll(() => { docker('rm', '-fv', MACHINE) })

test('the script installs coturn, the release and the unit, starts it, and a second time changes nothing', async () => {
  send('/root/one')
  shell('/root/one/systemd/install.sh install >&2')
  await untilReady()
  const before = [main(), coturn(), on('readlink', '/opt/turnpike/current')]
  expect(before[2]).toMatch(/^\/opt\/turnpike\/releases\/\d+\.\d+\.\d+-[0-9a-f]{8}$/)
  shell('/root/one/systemd/install.sh install >&2')
  expect([main(), coturn(), on('readlink', '/opt/turnpike/current')]).toEqual(before)
  expect(on('turnpike', 'keys', 'first')).toMatch(/TURNPIKE_API_KEY=tpk_/)
  expect(on('systemctl', 'is-enabled', 'turnpike')).toBe('enabled')
  expect(on('stat', '-c', '%U %a', '/var/lib/turnpike', '/etc/turnpike/turnpike.env', '/opt/turnpike/current/src/main.ts')).toBe('turnpike 700\nroot 600\nroot 644')
}, 240_000)

test('it and coturn are not root, and can do nothing but open low ports', () => {
  for (const pid of [main(), coturn()]) {
    const status = on('cat', `/proc/${pid}/status`)
    expect(status).toMatch(/CapEff:\s0000000000000400\nCapBnd:\s0000000000000400/)
    expect(status).toMatch(/NoNewPrivs:\s1\nSeccomp:\s2/)
    expect(on('stat', '-c', '%U', `/proc/${pid}`)).toBe('turnpike')
  }
})

test('a domain leaves plain HTTP to this machine; the file of settings is read and never run', async () => {
  shell('/root/one/systemd/install.sh install localhost >&2')
  expect(shell('grep ^TURNPIKE_ /etc/turnpike/turnpike.env')).toBe('TURNPIKE_HTTP_HOST=127.0.0.1\nTURNPIKE_DOMAIN=localhost')
  shell(`cat >>/etc/turnpike/turnpike.env <<'END'
X=a touch /tmp/was-run
TURNPIKE_ACME_EMAIL='$(id>/tmp/was-run)@example.org'
  TURNPIKE_CALL_PAGE="off"
END`)
  expect(shell('turnpike config')).toMatch(/\$\(id>\/tmp\/was-run\)@example\.org/)
  expect(ended('ls /tmp/was-run').code).not.toBe(0)
  shell("sed -i '/was-run/d; /CALL_PAGE/d' /etc/turnpike/turnpike.env")
  await untilReady()
})

test('up, status and logs know it', () => {
  expect(ended('cd /root/one && node bin/turnpike.mjs up')).toMatchObject({ code: 0, all: expect.stringMatching(/with systemd[^]*the relay is proved[^]*turnpike keys first/) })
  expect(ended('cd /root/one && node bin/turnpike.mjs status')).toMatchObject({ code: 0, all: expect.stringMatching(/^systemd, \d+\.\d+\.\d+: everything is ready/) })
  expect(ended('cd /root/one && node bin/turnpike.mjs logs')).toMatchObject({ code: 0, all: expect.stringContaining('the relay is proved') })
  expect(ended('cd /root/one && node bin/turnpike.mjs logs coturn')).toMatchObject({ code: 69, all: expect.stringContaining('goes through that of turnpike') })
  const asNobody = 'runuser -u nobody -- /opt/turnpike/current/node /opt/turnpike/current/src/main.ts'
  expect(ended(`${asNobody} status`)).toMatchObject({ code: 70, all: expect.stringContaining('only root may read') })
  expect(ended('cd /root/one && node bin/turnpike.mjs up --profile full')).toMatchObject({ code: 64, all: expect.stringContaining('for Docker Compose') })
})

test('killed or restarted, it comes back by itself, and coturn goes on', async () => {
  const [pid, relay] = [main(), coturn()]
  shell(`kill -9 ${pid}`)
  await until('another one runs', () => !['0', pid].includes(main()))
  await untilReady()
  on('systemctl', 'restart', 'turnpike')
  await untilReady()
  expect(coturn()).toBe(relay)
})

test('an upgrade changes the release and leaves coturn; one that spoils the database and ends is undone', async () => {
  const [relay, keys] = [coturn(), on('turnpike', 'keys', 'list')]
  send('/root/two', made => made.edit('src/main.ts', text => `${text}// The next version.\n`))
  shell('mkdir -p /var/backups/turnpike && cd /var/backups/turnpike && touch mine.db upgrade-2025-0{1,2,3,4,5,6}-02T03-04-05-678Z.db')
  expect(ended('cd /root/two && node bin/turnpike.mjs upgrade')).toMatchObject({ code: 0, all: expect.stringMatching(/upgraded: \d/) })
  expect(on('tail', '-1', '/opt/turnpike/current/src/main.ts')).toBe('// The next version.')
  expect(on('ls', '/var/backups/turnpike')).toMatch(/^mine.db\n(upgrade-2025-0[3456]-\S+\n){4}upgrade-(?!2025)\S+$/)
  expect(ended('turnpike upgrade')).toMatchObject({ code: 0, all: expect.stringContaining('runs already') })
  send('/root/three', made => {
    made.edit('bin/turnpike.mjs', text => text.replace("join(root, 'src/main.ts')", "join(root, 'src/operator.ts')"))
    made.edit('src/main.ts', () => "import { writeFileSync } from 'node:fs'\nwriteFileSync('/var/lib/turnpike/turnpike.db', 'spoilt')\nthrow new Error('it does not start')\n")
  })
  shell('cp /root/one/src/main.ts /root/three/src/operator.ts')
  expect(ended('cd /root/three && node bin/turnpike.mjs upgrade')).toMatchObject({ code: 70, all: expect.stringMatching(/it does not start[^]*The version before serves again[^]*\[upgrade-rolled-back\]/) })
  expect(on('tail', '-1', '/opt/turnpike/current/src/main.ts')).toBe('// The next version.')
  expect([coturn(), on('turnpike', 'keys', 'list')]).toEqual([relay, keys])
}, 120_000)

test('half a release is not put into place, and one that is there is made whole', () => {
  send('/root/four', made => made.edit('src/main.ts', text => `${text}// Half of it.\n`))
  shell('mkdir /tmp/fails && printf "#!/bin/sh\\nexit 1\\n" >/tmp/fails/chown && chmod +x /tmp/fails/chown')
  const before = shell('ls /opt/turnpike/releases')
  expect(ended('PATH=/tmp/fails:$PATH /root/four/systemd/install.sh release').code).not.toBe(0)
  expect(shell('ls /opt/turnpike/releases | grep -v incoming')).toBe(before)
  const release = shell('/root/four/systemd/install.sh release')
  shell(`rm -r ${release}/.whole ${release}/src`)
  expect(shell('/root/four/systemd/install.sh release')).toBe(release)
  expect(on('tail', '-1', `${release}/src/main.ts`)).toBe('// Half of it.')
})

test('a database that cannot be put back is told, and the version runs all the same', async () => {
  expect(ended('/root/two/systemd/install.sh switch "$(readlink /opt/turnpike/current)" /var/backups/turnpike/none.db')).toMatchObject({ code: 74, all: expect.stringContaining('none.db') })
  await untilReady()
})

test('uninstall leaves nothing behind', () => {
  shell('mkdir -p /etc/systemd/system/turnpike.service.d && echo >/etc/systemd/system/turnpike.service.d/override.conf')
  expect(ended('cd /root/two && node bin/turnpike.mjs uninstall --yes')).toMatchObject({ code: 0, all: 'Turnpike is gone.\n' })
  expect(shell(`ls -d ${PLACES.join(' ')} 2>/dev/null || true`)).toBe('')
  expect([coturn(), ended('id turnpike').code, ended('command -v turnserver').code, shell('systemctl list-unit-files | grep -E "turnpike|coturn" || true')]).toEqual(['', 1, 1, ''])
})
