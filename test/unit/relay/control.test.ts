import { createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { Control } from '../../../src/relay/control.ts'
import { freePorts } from '../../kit/files.ts'

test('a command line that is not there, or that says nothing, is told as lost; nobody waits for ever', async () => {
  const [port = 0] = await freePorts(1)
  await expect(new Control({ host: '127.0.0.1', port, password: 'x' }).cut(['1'])).rejects.toMatchObject({ code: 'relay-control-lost', message: expect.stringContaining('ECONNREFUSED') })
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  onTestFinished(() => { silent.close() })
  await new Promise(resolve => silent.once('listening', resolve))
  const began = performance.now()
  await expect(new Control({ host: '127.0.0.1', port: (silent.address() as { port: number }).port, password: 'x' }).sessions()).rejects.toMatchObject({ code: 'relay-control-lost' })
  expect(performance.now() - began).toBeLessThan(5000)
})

test('a connection that died while it was idle is opened again', async () => {
  let served = 0
  const server = createServer(socket => {
    served++
    const number = served
    socket.write('Enter password: ')
    socket.on('data', text => {
      socket.write('\n> ')
      // The first ends after its first command.
      if (number === 1 && text.toString().startsWith('cs')) setTimeout(() => socket.destroy(), 10)
    })
  }).listen(0, '127.0.0.1')
  onTestFinished(() => { server.close() })
  await new Promise(resolve => server.once('listening', resolve))
  const control = new Control({ host: '127.0.0.1', port: (server.address() as { port: number }).port, password: 'x' })
  await control.cut(['1'])
  await new Promise(resolve => setTimeout(resolve, 50))
  await control.cut(['2'])
  expect(served).toBe(2)
  control.close()
})
