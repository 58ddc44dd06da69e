/** Chooses what runs coturn, and says why: never a silent fall-back. */
import { totalmem } from 'node:os'
import type { Config } from '../config/schema.ts'
import type { Log } from '../lifecycle.ts'
import type { Driver } from './driver.ts'
import { connect, createDockerDriver, requireImage } from './drivers/docker.ts'
import { createExternalDriver } from './drivers/external.ts'
import { createProcessDriver } from './drivers/process.ts'
import { memoryFor } from './memory.ts'

export type DriverNeeds = {
  config: Config['relay']
  relay: string
  owner: string
  directory: string
  programPath: readonly string[]
  dockerHost: string | undefined
  installRelay: boolean
  log: Log
}

/** The driver and the reason, as the end of a sentence. `auto` asks the Docker engine and may pull the image. */
export async function chooseDriver (needs: DriverNeeds): Promise<{ driver: Driver, why: string }> {
  const { driver: wanted, image } = needs.config
  const asDocker = (why: string): { driver: Driver, why: string } => ({ driver: createDockerDriver({ ...needs, image, memoryBytes: memoryFor(needs.config, totalmem()) }), why })
  if (wanted === 'external') return { driver: createExternalDriver(), why: 'TURNPIKE_RELAY_DRIVER=external' }
  if (wanted === 'docker') return asDocker('TURNPIKE_RELAY_DRIVER=docker')
  const asProcess = (why: string): { driver: Driver, why: string } => ({ driver: createProcessDriver({ ...needs, mayInstall: needs.installRelay }), why })
  if (wanted === 'process') return asProcess('TURNPIKE_RELAY_DRIVER=process')
  try {
    await requireImage(connect(needs.dockerHost), { ...needs, image })
    return asDocker(`Docker answers and has ${image}`)
  } catch (error) {
    return asProcess(`not Docker: ${(error as Error).message}`)
  }
}
