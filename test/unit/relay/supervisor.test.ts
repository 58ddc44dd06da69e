import { expect, onTestFinished, test, vi } from 'vitest'
import { TurnpikeError, type ErrorCode } from '../../../src/protocol/errors.ts'
import type { RelayCheck } from '../../../src/relay/driver.ts'
import { HAS_NO_ROOM } from '../../../src/relay/probe.ts'
import { isReady, judge, nextState, RELAY_EVENTS, RELAY_STATES } from '../../../src/relay/relay-states.ts'
import { Supervisor } from '../../../src/relay/supervisor.ts'

const passed: RelayCheck[] = [{ check: 'allocate', transport: 'udp', result: 'passed', detail: '', roundTripMs: 1 }]
const check = (check: RelayCheck['check'], detail: string): RelayCheck[] => [{ check, transport: 'tcp', result: 'failed', detail, roundTripMs: null }]

/** A supervisor whose coturn does what the test says: faults that cannot be made on demand. */
function supervise (script: { launch?: () => void | Promise<void>, probe?: (isAbandoned: AbortSignal) => RelayCheck[] | Promise<RelayCheck[]>, mayRestart?: boolean }): { supervisor: Supervisor, log: string[], exit (): void, now: { seconds: number } } {
  vi.useFakeTimers()
  const log: string[] = []
  const now = { seconds: 1000 }
  let exit = (): void => {}
  const supervisor = new Supervisor({
    launch: async onExit => {
      log.push('launch')
      await script.launch?.()
      exit = () => onExit(new TurnpikeError('relay-stopped', 'it ended'))
    },
    end: async () => { log.push('end') },
    probe: async isAbandoned => await script.probe?.(isAbandoned) ?? passed,
    mayRestart: () => script.mayRestart ?? true,
    onChange: ({ state }) => { if (log.at(-1) !== state) log.push(state) },
    onRestart: (code: ErrorCode) => log.push(`restart: ${code}`),
    nowSeconds: () => now.seconds,
    probeSeconds: 10,
  })
  onTestFinished(async () => {
    const stopped = supervisor.stop()
    await vi.runAllTimersAsync()
    await stopped
    vi.useRealTimers()
  })
  return { supervisor, log, exit: () => exit(), now }
}

test('every state answers every event with a state, and stop leads to stopped from each', () => {
  let looked = 0
  for (const state of RELAY_STATES) {
    for (const event of RELAY_EVENTS) {
      expect(RELAY_STATES).toContain(nextState(state, event))
      looked++
    }
    expect(nextState(state, 'stop')).toBe('stopped')
  }
  expect(looked).toBe(66)
  expect(RELAY_STATES.filter(isReady)).toEqual(['healthy', 'degraded'])
})

test('what the checks mean together', () => {
  expect(judge(passed).event).toBe('probe-passed')
  expect(judge(check('echo', 'no bytes'))).toMatchObject({ event: 'probe-failed', code: 'relay-unproven', reason: 'echo over tcp: no bytes' })
  expect(judge(check('clock', 'ahead'))).toMatchObject({ event: 'clock-off', code: 'relay-clock-off' })
  const full = check('allocate', `${HAS_NO_ROOM}: Allocate was refused with 508`)
  expect(judge([...full, ...check('clock', 'ahead')])).toMatchObject({ event: 'full', code: 'relay-full' })
  expect(judge([...full, ...check('binding', 'no answer')])).toMatchObject({ event: 'probe-failed', reason: 'binding over tcp: no answer (and 1 more)' })
  expect(judge([...check('echo', 'x'), ...check('refuses-strangers', 'serves strangers: yes')])).toMatchObject({ event: 'serves-strangers', code: 'relay-open' })
})

test('a relay that ends is started again at once, then ever later', async () => {
  const { supervisor, log, exit } = supervise({})
  await supervisor.start(1000)
  expect(supervisor.status().state).toBe('healthy')
  exit()
  await vi.advanceTimersByTimeAsync(0)
  expect(log.filter(entry => entry === 'launch')).toHaveLength(2)
  exit()
  await vi.advanceTimersByTimeAsync(400)
  expect(log.filter(entry => entry === 'launch')).toHaveLength(2)
  await vi.advanceTimersByTimeAsync(200)
  expect(log.filter(entry => entry === 'launch')).toHaveLength(3)
  expect(supervisor.status().restarts).toBe(2)
  expect(log).toContain('restart: relay-stopped')
})

test('after a minute of health the first restart is at once again', async () => {
  const { supervisor, log, exit, now } = supervise({})
  await supervisor.start(1000)
  for (let i = 0; i < 3; i++) {
    now.seconds += 61
    exit()
    await vi.advanceTimersByTimeAsync(0)
  }
  expect(log.filter(entry => entry === 'launch')).toHaveLength(4)
})

test('three failed probes in a row are a hang; two are not', async () => {
  let failures = 0
  const { supervisor, log } = supervise({ probe: () => (failures-- > 0 ? check('allocate', 'no answer') : passed) })
  await supervisor.start(1000)
  failures = 2
  await vi.advanceTimersByTimeAsync(10_000)
  expect(supervisor.status().state).toBe('degraded')
  await vi.advanceTimersByTimeAsync(3000)
  expect([supervisor.status().state, supervisor.status().restarts]).toEqual(['healthy', 0])
  failures = 3
  await vi.advanceTimersByTimeAsync(13_000)
  expect(supervisor.status().restarts).toBe(1)
  expect(log).toContain('end')
})

test('a hang after a minute of health is mended at once too', async () => {
  let broken = false
  const { supervisor, log, exit, now } = supervise({ probe: () => (broken ? check('allocate', 'no answer') : passed) })
  await supervisor.start(1000)
  exit()
  await vi.advanceTimersByTimeAsync(0)
  now.seconds += 61
  broken = true
  await vi.advanceTimersByTimeAsync(12_500)
  expect(supervisor.status().restarts).toBe(2)
  expect(log.filter(entry => entry === 'launch')).toHaveLength(3)
})

test('an end in the middle of a probe does not wait for the probe, whose outcome is then nobody\'s', async () => {
  let answer = (_: RelayCheck[]): void => {}
  const abandoned: boolean[] = []
  let isStuck = false
  const { supervisor, log, exit } = supervise({
    probe: signal => {
      if (!isStuck) return passed
      isStuck = false
      signal.addEventListener('abort', () => abandoned.push(true))
      return new Promise(resolve => { answer = resolve })
    },
  })
  await supervisor.start(1000)
  isStuck = true
  await vi.advanceTimersByTimeAsync(10_000)
  exit()
  await vi.advanceTimersByTimeAsync(0)
  expect(log.filter(entry => entry === 'launch')).toHaveLength(2)
  expect(abandoned).toEqual([true])
  answer(check('refuses-strangers', 'serves strangers: it does'))
  await vi.advanceTimersByTimeAsync(0)
  expect(supervisor.status().state).toBe('healthy')
})

test('a stop in the middle of a probe does not wait for it, and settles the start', async () => {
  const { supervisor } = supervise({ probe: () => new Promise(() => {}) })
  const started = supervisor.start(1000)
  await vi.advanceTimersByTimeAsync(0)
  await supervisor.stop()
  await started
  expect(supervisor.status().state).toBe('stopped')
})

test('a stop in the middle of a launch waits until there is something to end', async () => {
  let launched = (): void => {}
  const { supervisor, log } = supervise({ launch: () => new Promise(resolve => { launched = resolve }) })
  const started = supervisor.start(1000)
  const stopped = supervisor.stop().then(() => log.push('stop is over'))
  await started
  expect(log).not.toContain('stop is over')
  launched()
  await stopped
  expect(log.slice(-2)).toEqual(['stopped', 'stop is over'])
})

test('a full relay is told and stays as it is, however long that lasts', async () => {
  let isFull = false
  const { supervisor, log } = supervise({ probe: () => (isFull ? check('allocate', `${HAS_NO_ROOM}: Allocate was refused with 508`) : passed) })
  await supervisor.start(1000)
  isFull = true
  await vi.advanceTimersByTimeAsync(600_000)
  expect(supervisor.status()).toMatchObject({ state: 'degraded', code: 'relay-full', restarts: 0 })
  isFull = false
  await vi.advanceTimersByTimeAsync(10_000)
  expect(supervisor.status()).toMatchObject({ state: 'healthy', code: null })
  expect(log.filter(entry => entry === 'launch' || entry === 'end')).toEqual(['launch'])
})

test('what cannot be launched is told with its code and tried again', async () => {
  let isBusy = true
  const { supervisor } = supervise({ launch: () => { if (isBusy) throw new TurnpikeError('relay-port-busy', 'udp port 1 is taken') } })
  await supervisor.start(1000)
  expect(supervisor.status()).toMatchObject({ state: 'failed', code: 'relay-port-busy', reason: 'udp port 1 is taken', restarts: 0 })
  isBusy = false
  await vi.advanceTimersByTimeAsync(3000)
  expect(supervisor.status().state).toBe('healthy')
})

test('a relay that serves strangers is ended at once and left alone for half a minute', async () => {
  const { supervisor, log } = supervise({ probe: () => check('refuses-strangers', 'serves strangers: it does') })
  await supervisor.start(1000)
  await vi.advanceTimersByTimeAsync(0)
  expect(supervisor.status()).toMatchObject({ state: 'failed', code: 'relay-open' })
  expect(log.slice(-2)).toEqual(['failed', 'end'])
  await vi.advanceTimersByTimeAsync(29_000)
  expect(log.filter(entry => entry === 'launch')).toHaveLength(1)
})

test('a relay that never passes is failed, and the start does not wait for ever', async () => {
  const { supervisor } = supervise({ probe: () => check('binding', 'no answer') })
  const started = supervisor.start(5000)
  await vi.advanceTimersByTimeAsync(5000)
  await started
  expect(supervisor.status().state).toBe('starting')
  await vi.advanceTimersByTimeAsync(6000)
  expect(supervisor.status()).toMatchObject({ code: 'relay-unproven' })
})

test('a clock that is off is said, and the relay stays in use', async () => {
  const { supervisor } = supervise({ probe: () => check('clock', 'the clock of the relay is at least 5 min ahead of ours') })
  await supervisor.start(1000)
  expect(supervisor.status()).toMatchObject({ state: 'degraded', code: 'relay-clock-off' })
})

test('a relay of somebody else is not restarted, only given up until it passes', async () => {
  let broken = false
  const { supervisor, log } = supervise({ probe: () => (broken ? check('allocate', 'no answer') : passed), mayRestart: false })
  await supervisor.start(1000)
  broken = true
  await vi.advanceTimersByTimeAsync(13_000)
  expect(supervisor.status().restarts).toBe(0)
  broken = false
  await vi.advanceTimersByTimeAsync(12_000)
  expect(supervisor.status().state).toBe('healthy')
  expect(log).not.toContain('end')
})
