/** A disk that is full under a running house, for real: a file system of the test's own. */
import { execFileSync } from 'node:child_process'
import { appendFileSync, rmSync } from 'node:fs'
import { expect, test } from 'vitest'
import { startApp } from '../kit/app.ts'
import { whenDone } from '../kit/cleanup.ts'
import { scratchDirectory, until } from '../kit/files.ts'
import { allocated, issue, relayPort, untilLive } from '../kit/turn.ts'

function smallDisk (): string {
  const directory = scratchDirectory()
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', directory])
  whenDone(() => { execFileSync('umount', ['-l', directory]) })
  return directory
}

function fill (file: string): void {
  for (const size of [65_536, 4096, 512]) {
    try {
      for (;;) appendFileSync(file, Buffer.alloc(size))
    } catch {
      // Full to that size.
    }
  }
}

test('on a full disk credentials are issued, what must be written is refused with why, a revocation holds all the same; with room again all is well', async () => {
  const directory = smallDisk()
  const app = await startApp({ TURNPIKE_DATA_DIR: directory })
  const admin = (method: string, path: string, body?: object) => app.request(path, { method, key: app.adminKey, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
  const alice = await issue(app, { user: 'alice' })
  await allocated(relayPort(app), alice)
  await untilLive(app, 1)
  fill(`${directory}/filler`)
  // The log has what is left of the last page; a few writes use that up.
  await until('nothing can be written', async () => (await admin('POST', '/v1/projects/default/keys', { name: 'x'.repeat(128) })).status === 503)

  const bob = await issue(app, { user: 'bob' })
  await allocated(relayPort(app), bob)
  for (const [method, path, body] of [['POST', '/v1/projects', { id: 'p' }], ['PATCH', '/v1/projects/default', { expiry: 'hard' }], ['POST', '/v1/projects/default/keys', {}], ['POST', '/v1/secrets/signing/rotate', undefined]] as const) {
    const answer = await admin(method, path, body)
    expect([answer.status, answer.body['code'], answer.headers.get('retry-after')], path).toEqual([503, 'store-unwritable', '5'])
    expect(answer.body['cure']).toContain('Free some space')
  }
  const ready = await app.request('/readyz')
  expect([ready.status, (ready.body['store'] as { ready: boolean }).ready]).toEqual([503, false])
  const revoked = await admin('DELETE', '/v1/turn/credentials/alice')
  expect([revoked.status, revoked.body['code'], String(revoked.body['detail'])]).toEqual([503, 'store-unwritable', expect.stringContaining('the revocation holds')])
  expect(await untilLive(app, 1)).toMatchObject([{ user: 'bob' }])
  expect((await app.request('/v1/turn/credentials', { method: 'POST', body: '{"user":"alice"}' })).status).toBe(403)
  // What was refused has not half happened.
  expect((await admin('GET', '/v1/projects/p')).status).toBe(404)
  expect((await admin('GET', '/v1/projects/default')).body['settings']).toMatchObject({ expiry: 'soft' })

  rmSync(`${directory}/filler`)
  await until('it is well', async () => (await app.request('/readyz')).status === 200)
  expect((await admin('POST', '/v1/projects', { id: 'p' })).status).toBe(201)
  expect((await admin('DELETE', '/v1/turn/credentials/alice')).status).toBe(200)
  await until('what was issued meanwhile is in the ledger', async () => ((await admin('GET', '/v1/usage')).body['usage'] as { credentials: number, allocations: number }[])[0]?.credentials === 2)
  expect((await admin('GET', '/v1/usage')).body['usage']).toMatchObject([{ credentials: 2, allocations: 2 }])
})
