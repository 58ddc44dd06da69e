/** A certificate by ACME and a coturn in a container: what it was started with is a placeholder. */
import { connect } from 'node:tls'
import { beforeAll, expect, test } from 'vitest'
import { startApp } from '../kit/app.ts'
import { COTURN_IMAGE, requireDocker } from '../kit/docker.ts'
import { until } from '../kit/files.ts'
import { startPebble } from '../kit/pebble.ts'
import { issue } from '../kit/turn.ts'

beforeAll(() => requireDocker('coturn'), 300_000)

const DOMAIN = 'meet.test'

/** What is served to somebody who trusts this root and asks for this name; throws where it is not to be trusted. */
async function issuerOf (port: number, servername: string, ca: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, servername, ca }, () => {
      resolve(socket.getPeerX509Certificate()?.issuer ?? '')
      socket.destroy()
    })
    socket.once('error', reject)
  })
}

test('the first certificate reaches coturn in its container, without a restart, before TURN over TLS is handed out', async () => {
  const pebble = await startPebble()
  const addresses: Record<string, string[]> = {}
  const app = await startApp({ ...pebble.settings, TURNPIKE_RELAY_DRIVER: 'docker', TURNPIKE_RELAY_IMAGE: COTURN_IMAGE, TURNPIKE_DOMAIN: DOMAIN, TURNPIKE_HTTPS_PORT: '0', TURNPIKE_TLS_CHECK_SECONDS: '3600' }, { resolve: async name => addresses[name] ?? [] })
  const [root, tlsPort] = [await pebble.root(), Number(app.env['TURNPIKE_RELAY_TLS_PORT'])]
  const turnUrls = async (): Promise<string[]> => (await issue(app)).iceServers.flatMap(({ urls }) => urls).filter(url => url.startsWith('turns:'))
  expect(app.relayHealth()).toMatchObject({ ready: true, driver: 'docker' })
  expect(await turnUrls()).toEqual([])
  await expect(issuerOf(tlsPort, `turn.${DOMAIN}`, root)).rejects.toThrow()
  Object.assign(addresses, { [DOMAIN]: ['127.0.0.1'], [`turn.${DOMAIN}`]: ['127.0.0.1'] })
  await until('it is handed out', async () => (await turnUrls()).length > 0, 20_000)
  expect(await issuerOf(tlsPort, `turn.${DOMAIN}`, root)).toContain('Pebble')
  expect(await turnUrls()).toEqual([`turns:turn.${DOMAIN}:${tlsPort}?transport=tcp`])
  expect(app.relayHealth().restarts).toBe(0)
})
