import { connect, createServer } from 'node:net'
import { expect, onTestFinished, test, vi } from 'vitest'
import { EdgeAgent } from '../../../src/relay/edge-agent.ts'
import type { Slot } from '../../../src/relay/sites.ts'
import { freePorts } from '../../kit/files.ts'

type World = { now: number, serving: Slot }

async function startAgent ({ port = 443, handOverSeconds = 30 } = {}): Promise<World & { agentPort: number }> {
  const [agentPort = 0] = await freePorts(1)
  const world = { now: 1000, serving: 'main' as Slot, agentPort }
  const agent = new EdgeAgent({ config: { edge: { port, agentPort }, relay: { handOverSeconds } } as never, elapsedSeconds: () => world.now, servingSlot: () => world.serving })
  onTestFinished(() => agent.stop())
  await agent.start()
  return world
}

async function ask (port: number, question: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect({ host: '127.0.0.1', port }, () => socket.write(question))
    socket.setEncoding('latin1').on('data', (text: string) => { answer += text }).once('close', () => resolve(answer)).once('error', reject)
  })
}

test('the one that serves is up; the one that leaves is so for five seconds more, and takes nothing new then', async () => {
  const world = await startAgent()
  const both = async (): Promise<string[]> => [await ask(world.agentPort, 'main\n'), await ask(world.agentPort, 'alternate\n')]
  expect(await both()).toEqual(['ready up\n', 'drain\n'])
  world.serving = 'alternate'
  expect(await both()).toEqual(['ready up\n', 'ready up\n'])
  world.now += 6
  expect(await both()).toEqual(['drain\n', 'ready up\n'])
  world.serving = 'main'
  world.now += 6
  expect(await both()).toEqual(['ready up\n', 'drain\n'])
})

test('one that takes nothing new at once has no time more', async () => {
  const world = await startAgent({ handOverSeconds: 0 })
  expect(await ask(world.agentPort, 'main\n')).toBe('ready up\n')
  world.serving = 'alternate'
  world.now += 1
  expect(await ask(world.agentPort, 'main\n')).toBe('drain\n')
})

test('a clock that is set back keeps nobody in service', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  onTestFinished(() => { vi.useRealTimers() })
  const [agentPort = 0] = await freePorts(1)
  let serving: Slot = 'main'
  const agent = new EdgeAgent({ config: { edge: { port: 443, agentPort }, relay: { handOverSeconds: 0 } } as never, servingSlot: () => serving })
  onTestFinished(() => agent.stop())
  await agent.start()
  expect(await ask(agentPort, 'main\n')).toBe('ready up\n')
  vi.setSystemTime(Date.now() - 8 * 3_600_000)
  serving = 'alternate'
  expect(await ask(agentPort, 'main\n')).toBe('drain\n')
})

test.each(['another\n', `${'x'.repeat(40)}`])('to %j nothing is said', async question => {
  const { agentPort } = await startAgent()
  expect(await ask(agentPort, question).catch(() => '')).toBe('')
})

test('without an edge nobody listens, and a port that is taken is said by its name', async () => {
  const { agentPort } = await startAgent({ port: 0 })
  await expect(ask(agentPort, 'main\n')).rejects.toThrow('ECONNREFUSED')
  const thief = createServer().listen(agentPort, '127.0.0.1')
  onTestFinished(() => { thief.close() })
  await new Promise(resolve => thief.once('listening', resolve))
  const agent = new EdgeAgent({ config: { edge: { port: 443, agentPort }, relay: { handOverSeconds: 30 } } as never, servingSlot: () => 'main' })
  onTestFinished(() => agent.stop())
  await expect(agent.start()).rejects.toMatchObject({ code: 'address-in-use', message: expect.stringContaining('TURNPIKE_EDGE_AGENT_PORT') })
})
