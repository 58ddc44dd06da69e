/** The appliance in the middle of the small internet, as somebody on a VPS has it: the policy internet, its own address found by itself. */
import { run } from './command.ts'
import { scratchDirectory } from './files.ts'
import { PUBLIC_IP, type Internet } from './namespaces.ts'

export const APPLIANCE = `http://${PUBLIC_IP}:8080`

export async function startAppliance (internet: Internet, more: Record<string, string> = {}): Promise<void> {
  const env = { ...more, TURNPIKE_DATA_DIR: scratchDirectory(), TURNPIKE_RELAY_DRIVER: 'process', TURNPIKE_RELAY_STUN_SERVERS: 'none', TURNPIKE_METRICS_PORT: '0' }
  const started = run('ip', ['netns', 'exec', internet.pub, 'node', 'bin/turnpike.mjs', 'serve'], env)
  await started.until('relayed media')
  if (!started.out().includes('the relay is proved') || !started.out().includes(`turn:${more['TURNPIKE_DOMAIN'] ?? PUBLIC_IP}:3478?transport=udp`)) throw new Error(started.all())
}
