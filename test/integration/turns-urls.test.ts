/** When TURN over TLS is handed out, with a coturn that takes its time. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { pidsConfiguredBy } from '../../src/relay/drivers/process-table.ts'
import { PLACEHOLDER } from '../../src/tls/pair.ts'
import { scratchDirectory, selfMadeCertificate, until } from '../kit/files.ts'
import { makeRelay } from '../kit/relay.ts'

const DOMAIN = 'meet.test'

test('TURN over TLS is handed out once the relay was seen to serve the first certificate, and goes on to be while it is renewed', async () => {
  const dataDir = scratchDirectory()
  const file = `${dataDir}/certificates/current.pem`
  mkdirSync(`${dataDir}/certificates`)
  const put = (subject: string): void => {
    const { cert, key } = selfMadeCertificate(scratchDirectory(), [`DNS:${DOMAIN}`, `DNS:turn.${DOMAIN}`], subject)
    writeFileSync(`${file}.next`, readFileSync(key, 'utf8') + readFileSync(cert, 'utf8'))
    renameSync(`${file}.next`, file)
  }
  put(`/O=${PLACEHOLDER}`)
  const relay = await makeRelay({ TURNPIKE_DATA_DIR: dataDir, TURNPIKE_DOMAIN: DOMAIN, TURNPIKE_TLS_CHECK_SECONDS: '1', TURNPIKE_RELAY_PROBE_SECONDS: '3600' })
  await relay.start()
  const offered = (): unknown => relay.endpoints()[0]?.tlsPorts
  const installed = (): number => relay.log.filter(line => line.startsWith('a new certificate is installed')).length
  const untaken = (): number => relay.log.filter(line => line.startsWith('the new certificate is not served everywhere')).length
  const [pid = 0] = pidsConfiguredBy(`${dataDir}/relay/turnserver.conf`)
  const toldBefore = relay.urlChanges.count
  expect(offered()).toEqual([])
  process.kill(pid, 'SIGSTOP')
  put('/CN=first')
  await until('it is there', () => installed() === 1)
  expect(offered()).toEqual([])
  await until('the relay does not take it', () => untaken() === 1)
  expect(offered()).toEqual([])
  process.kill(pid, 'SIGCONT')
  const tlsPort = Number(relay.settings['TURNPIKE_RELAY_TLS_PORT'])
  await until('it is handed out', () => JSON.stringify(offered()) === `[${tlsPort}]`)
  await until('those who were given URLs are told', () => relay.urlChanges.count > toldBefore)
  expect(relay.endpoints()).toMatchObject([{ tlsHost: `turn.${DOMAIN}` }])
  // The one before is as good while the next is on its way.
  process.kill(pid, 'SIGSTOP')
  put('/CN=second')
  await until('the second is there', () => installed() === 2)
  expect(offered()).toEqual([tlsPort])
  process.kill(pid, 'SIGCONT')
  expect(relay.health()).toMatchObject({ restarts: 0 })
})
