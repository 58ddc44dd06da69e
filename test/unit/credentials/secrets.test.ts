import { expect, test } from 'vitest'
import { Secrets, type SecretsNeeds } from '../../../src/credentials/secrets.ts'
import { TtlBounds } from '../../../src/credentials/ttl-bounds.ts'
import { scratchStore, silentLog } from '../../kit/store.ts'

const plainly = (work: () => void): void => work()

/** coturn as far as secrets go: what it was last told, and whether it can be told. */
function secretsWith (more: Partial<SecretsNeeds> = {}) {
  const coturn = { accepted: [] as string[], isDeaf: false, told: 0 }
  const clock = { now: 1_800_000_000 }
  const secrets: Secrets = new Secrets({
    store: scratchStore(),
    log: silentLog,
    nowSeconds: () => clock.now,
    onRotated: () => {},
    fixedSecret: undefined,
    longestTtlSeconds: () => 100,
    applySecrets: () => {
      if (coturn.isDeaf) throw new Error('the disk is full')
      coturn.told++
      coturn.accepted = secrets.accepted(true)
    },
    proveSecret: async () => {},
    takesAnyUserName: () => true,
    ...more,
  })
  return { secrets, coturn, clock }
}

test('coturn that cannot be told is told again, until it accepts exactly what it is to', () => {
  const { secrets, coturn } = secretsWith()
  const { secret } = secrets.addIntegration('synapse', plainly)
  expect(coturn.accepted).toContain(secret)
  coturn.isDeaf = true
  secrets.removeIntegration('synapse', plainly)
  expect(coturn.accepted).toContain(secret)
  secrets.settle()
  coturn.isDeaf = false
  secrets.settle()
  expect(coturn.accepted).not.toContain(secret)
  const { told } = coturn
  secrets.settle()
  expect(coturn.told).toBe(told)
})

test('a secret that has retired while coturn could not be told is taken away later', async () => {
  const { secrets, coturn, clock } = secretsWith()
  const [old = ''] = secrets.accepted(true)
  await secrets.rotate()
  expect(coturn.accepted).toContain(old)
  coturn.isDeaf = true
  clock.now += 106
  secrets.retire()
  expect(secrets.accepted(true)).not.toContain(old)
  expect(coturn.accepted).toContain(old)
  coturn.isDeaf = false
  secrets.settle()
  expect(coturn.accepted).not.toContain(old)
})

test('after a leak, an overlap of 0 ends the old secret at once', async () => {
  const { secrets, coturn, clock } = secretsWith()
  const [old = ''] = secrets.accepted(true)
  await secrets.rotate(0)
  clock.now += 5
  secrets.retire()
  expect(coturn.accepted).not.toContain(old)
})

test('after a leak, secrets of earlier rotations end too, and a rotation that is broken off keeps its word', async () => {
  let proves = false
  const { secrets, coturn, clock } = secretsWith({ proveSecret: async () => { if (!proves) throw new Error('coturn is away') } })
  const [oldest = ''] = secrets.accepted(true)
  proves = true
  await secrets.rotate()
  const [leaked = ''] = secrets.accepted(true)
  proves = false
  await expect(secrets.rotate(0)).rejects.toThrow('coturn is away')
  expect(secrets.isBrokenOff()).toBe(true)
  proves = true
  await secrets.rotate()
  clock.now += 5
  secrets.retire()
  expect(secrets.list().map(({ state }) => state)).toEqual(['current'])
  expect(coturn.accepted).toHaveLength(1)
  expect(coturn.accepted).not.toContain(oldest)
  expect(coturn.accepted).not.toContain(leaked)
})

test('what could not be written down is not made', () => {
  const { secrets, coturn } = secretsWith()
  const before = secrets.accepted(true)
  expect(() => secrets.addIntegration('synapse', () => { throw new Error('full') })).toThrow('full')
  expect([secrets.integrations(), secrets.accepted(true), coturn.told]).toEqual([[], before, 0])
})

test('a bound that was lowered counts for as long as something of before can live', () => {
  const store = scratchStore()
  const clock = { now: 1_800_000_000 }
  new TtlBounds(store, 7 * 86_400, () => clock.now).note()
  clock.now += 60
  const lowered = new TtlBounds(store, 3600, () => clock.now)
  lowered.note()
  expect(lowered.longest()).toBe(7 * 86_400)
  clock.now += 7 * 86_400 + 3600
  expect(lowered.longest()).toBe(3600)
})
