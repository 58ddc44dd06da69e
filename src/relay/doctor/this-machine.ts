/** The doctor's readers as they are on a real machine. */
import { lookup, resolve4, resolve6 } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { observeMapping } from '../../stun/nat-mapping.ts'
import { shakeHands } from '../../stun/tls-trust.ts'
import { TurnClient } from '../../stun/turn-client.ts'
import { engineVersion } from '../drivers/docker-engine.ts'
import { askTime } from './sntp.ts'
import type { DoctorWorld } from './subject.ts'

const TIME_SERVERS = ['time.cloudflare.com', 'time.google.com', 'pool.ntp.org']
const TIMEOUT_MS = 1200
const DEADLINE_MS = 3000

export type MachineNeeds = {
  nowSeconds: () => number
  dataDir: string
  dockerHost: string | undefined
  /** May anybody outside be asked for the time? Whoever configures no STUN server wants no such question. */
  asksOutside: boolean
}

export function thisMachine ({ nowSeconds, dataDir, dockerHost, asksOutside }: MachineNeeds): DoctorWorld {
  return {
    nowSeconds,
    dataDir,
    timeServers: asksOutside ? TIME_SERVERS : [],
    resolve4,
    resolve6,
    lookUp: async name => (await lookup(name, { all: true })).map(({ address }) => address),
    ownAddresses: () => Object.values(networkInterfaces()).flatMap(list => list ?? []).map(({ address }) => address),
    observeMapping,
    askTime,
    readFile: path => readFileSync(path, 'utf8'),
    space: async path => {
      const { bavail, blocks, bsize } = await statfs(path)
      return { freeBytes: bavail * bsize, totalBytes: blocks * bsize }
    },
    dockerVersion: async () => await engineVersion(dockerHost),
    open: async target => await TurnClient.open(target),
    shakeHands,
    timeoutMs: TIMEOUT_MS,
    deadlineMs: DEADLINE_MS,
  }
}
