import { expect, test } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { createCredentials } from '../../../src/credentials/credentials.ts'
import { createMetrics } from '../../../src/metrics/metrics.ts'
import { DEFAULT_PROJECT_SETTINGS } from '../../../src/protocol/project-settings.ts'
import { scratchStore, silentLog } from '../../kit/store.ts'

test('where no more can be revoked in a project, what lives is cut all the same, and the answer says that there is no more room', async () => {
  const cut: string[] = []
  const store = scratchStore()
  const credentials = createCredentials({
    ...{ store, metrics: createMetrics(), log: silentLog, nowSeconds: () => 1000 },
    limits: loadConfig({ env: {}, readFile: () => '' }).config.credentials,
    ...{ rotateDays: 0, fixedSecret: undefined, isKeyAlive: () => true, settingsOf: () => DEFAULT_PROJECT_SETTINGS, requireAllowance: () => {} },
    ...{ relays: () => [], regions: () => ['default'], relayDown: () => '', applySecrets: () => {}, proveSecret: async () => {}, takesAnyUserName: () => false },
    cut: async matches => {
      const live = ['alice', 'bob'].map(user => ({ project: 'shop', user, keyId: null, username: `4600:shop.${user}.0` }))
      const ended = live.filter(matches)
      cut.push(...ended.map(({ user }) => user))
      return ended.length
    },
  })
  const plainly = (work: () => void): void => work()
  const first: Promise<unknown>[] = []
  store.transaction(() => { for (let i = 0; i < 10_000; i++) first.push(credentials.revoke('shop', { kind: 'user', subject: `u${i}` }, plainly)) })
  await Promise.all(first)
  await expect(credentials.revoke('shop', { kind: 'user', subject: 'alice' }, plainly)).rejects.toMatchObject({ code: 'quota-exceeded' })
  expect(cut).toEqual(['alice'])
})
