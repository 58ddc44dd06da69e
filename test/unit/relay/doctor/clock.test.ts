import { createSocket } from 'node:dgram'
import { expect, onTestFinished, test } from 'vitest'
import { examineClock, examineRelayClock } from '../../../../src/relay/doctor/clock.ts'
import { askTime, offsetIn } from '../../../../src/relay/doctor/sntp.ts'
import { failingWith, filesOf, results, worldOf } from './subjects.ts'

test.each([[0.02, 'ok', 'within a second'], [-2, 'ok', '2 s ahead of'], [7, 'warning', '7 s behind'], [-90, 'failed', '90 s ahead of']])('a clock that is %f s behind is %s', async (offset, result, words) => {
  expect(await examineClock(worldOf({ askTime: async () => offset }))).toMatchObject([{ result, what: expect.stringContaining(words) }])
})

test('where no time server answers, systemd is believed; else it is unknown', async () => {
  const silent = { askTime: failingWith('ETIMEDOUT') }
  expect(await examineClock(worldOf({ ...silent, readFile: filesOf({ '/run/systemd/timesync/synchronized': '' }) }))).toMatchObject([{ result: 'ok', what: expect.stringContaining('timesyncd') }])
  expect(await examineClock(worldOf(silent))).toMatchObject([{ result: 'unknown', what: expect.stringContaining('time.example') }])
  expect(await examineClock(worldOf({ timeServers: [] }))).toMatchObject([{ result: 'unknown', what: 'No time server was to be asked.' }])
})

test('what the probe saw of the relay\'s clock is told, where it looked', () => {
  const check = { check: 'clock', transport: 'udp', detail: 'agrees', roundTripMs: null } as const
  expect(results(examineRelayClock('r', [{ ...check, result: 'passed' }]))).toEqual(['clock ok'])
  expect(results(examineRelayClock('r', [{ ...check, result: 'failed' }]))).toEqual(['clock failed'])
  expect(examineRelayClock('r', [{ ...check, result: 'left-out' }])).toEqual([])
  expect(examineRelayClock('r', [])).toEqual([])
})

/** A time server's answer whose clock stands at so many Unix seconds. */
function answerTo (request: Buffer, seconds: number, first = 0x24, stratum = 2): Buffer {
  const answer = Buffer.alloc(48)
  answer[0] = first
  answer[1] = stratum
  request.copy(answer, 24, 40, 48)
  for (const at of [32, 40]) {
    answer.writeUInt32BE(Math.floor(seconds) + 2_208_988_800, at)
    answer.writeUInt32BE(Math.floor((seconds % 1) * 2 ** 32), at + 4)
  }
  return answer
}

test('the time of a server is told as seconds that we are behind', async () => {
  const server = createSocket('udp4')
  onTestFinished(() => { server.close() })
  server.on('message', (request, { port, address }) => {
    server.send(Buffer.from('nonsense'), port, address)
    server.send(answerTo(request, Date.now() / 1000 + 30), port, address)
  })
  await new Promise<void>(resolve => server.bind(0, '127.0.0.1', resolve))
  expect(await askTime(`127.0.0.1:${server.address().port}`, 2000)).toBeCloseTo(30, 0)
  server.removeAllListeners('message')
  await expect(askTime(`127.0.0.1:${server.address().port}`, 50)).rejects.toThrow('no answer')
})

test('an answer to another request, of a client, or of a server without the time is none', () => {
  const request = Buffer.alloc(48, 7)
  const cookie = request.subarray(40, 48)
  expect(offsetIn(answerTo(request, 1000), cookie, 990, 990)).toBeCloseTo(10)
  expect(offsetIn(answerTo(Buffer.alloc(48), 1000), cookie, 990, 990)).toBeNull()
  expect(offsetIn(answerTo(request, 1000, 0x23), cookie, 990, 990)).toBeNull()
  expect(offsetIn(answerTo(request, 1000, 0xe4), cookie, 990, 990)).toBeNull()
  expect(offsetIn(answerTo(request, 1000, 0x24, 0), cookie, 990, 990)).toBeNull()
  expect(offsetIn(Buffer.alloc(20), cookie, 990, 990)).toBeNull()
})
