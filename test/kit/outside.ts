/** A machine outside: a network namespace with a cable to this one. Its addresses are of this cable alone, and it goes with the test. */
import { execFileSync } from 'node:child_process'
import { run } from './command.ts'
import { whenDone } from './cleanup.ts'
import type { Told, Wanted } from './outside-client.ts'

export type Outside = { /** Of this machine, as it is seen from there. */ machine: string, address: string, /** Has a client there do it. */ ask (wanted: Omit<Wanted, 'host' | 'own'>): Promise<Told> }

export function buildOutside (): Outside {
  const [machine, address] = ['10.213.80.1', '10.213.80.2']
  const name = `tpo${process.pid}`
  whenDone(() => { execFileSync('sh', ['-c', `ip netns pids ${name} 2>/dev/null | xargs -r kill -9; ip netns del ${name} 2>/dev/null; ip link del ${name} 2>/dev/null || true`]) })
  execFileSync('sh', ['-ec', `ip netns add ${name}; ip -n ${name} link set lo up
    ip link add ${name} type veth peer name eth0 netns ${name}; ip addr add ${machine}/24 dev ${name}; ip link set ${name} up
    ip -n ${name} addr add ${address}/24 dev eth0; ip -n ${name} link set eth0 up`])
  return {
    machine,
    address,
    ask: async wanted => {
      const client = run('ip', ['netns', 'exec', name, process.execPath, 'test/kit/outside-client.ts'], { WANTED: JSON.stringify({ ...wanted, host: machine, own: address }) })
      const { code } = await client.exit
      if (code !== 0) throw new Error(client.all())
      return JSON.parse(client.out()) as Told
    },
  }
}
