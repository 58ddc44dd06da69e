/**
 * A small internet of network namespaces: `pub` in the middle, and clients behind NATs of their own. All of it goes with the test.
 * Its addresses (RFC 5737) exist inside the namespaces only.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, writeFileSync } from 'node:fs'
import { whenDone } from './cleanup.ts'
import { scratchDirectory } from './files.ts'

export const PUBLIC_IP = '203.0.113.10'
export type Internet = {
  pub: string
  clients: string[]
  /** One more machine in the middle, with this address in 203.0.113.0/24; in a namespace that is told. */
  machine (name: string, address: string): string
  /** Takes the cable out of a client, and puts it back. */
  unplug (client: string): void
  plug (client: string): void
  /** The client's router lets no UDP out any more. */
  blockUdp (client: string): void
  /** Nor anything else but TCP to this port. */
  allowOnlyTcpTo (client: string, port: number): void
  /** A program that runs Chromium inside a client's namespace, with another home, and another DNS than this machine's. */
  chromiumIn (client: string, home?: string, nameserver?: string): string
}

function sh (command: string): void {
  execFileSync('sh', ['-ec', command], { stdio: ['ignore', 'pipe', 'pipe'] })
}

/** Builds it with so many clients, each behind a NAT that gives every destination another port (symmetric). */
export function buildInternet (clients: number): Internet {
  const tag = `tp${process.pid}`
  const pub = `${tag}pub`
  const names = Array.from({ length: clients }, (_, i) => ({ client: `${tag}c${i}`, nat: `${tag}n${i}`, number: i }))
  const all = [pub, ...names.flatMap(({ client, nat }) => [client, nat])]
  const made = [...all]
  whenDone(() => { for (const name of made) execFileSync('sh', ['-c', `ip netns pids ${name} 2>/dev/null | xargs -r kill -9; ip netns del ${name} 2>/dev/null || true`]) })
  for (const name of all) sh(`ip netns add ${name}; ip -n ${name} link set lo up`)
  // A bridge in pub is the internet; coturn ends a session whose packet finds no route, so there is a way out that swallows.
  sh(`ip -n ${pub} link add net type bridge; ip -n ${pub} link set net up; ip -n ${pub} addr add ${PUBLIC_IP}/24 dev net
      ip -n ${pub} neigh add 203.0.113.254 lladdr 02:00:00:00:00:fe dev net nud permanent; ip -n ${pub} route add default via 203.0.113.254`)
  for (const { client, nat, number } of names) {
    const [inside, outside] = [`10.${number + 1}.0`, `203.0.113.${20 + number}`]
    // Known to the client: what it sends while the cable is out would ask for it in vain, and again a second later, when the network is back.
    const router = `02:00:00:00:01:0${number}`
    sh(`ip link add ${tag}w${number} netns ${pub} type veth peer name wan netns ${nat}
        ip -n ${pub} link set ${tag}w${number} master net up
        ip -n ${nat} link set wan up; ip -n ${nat} addr add ${outside}/24 dev wan
        ip link add lan address ${router} netns ${nat} type veth peer name eth0 netns ${client}
        ip -n ${nat} link set lan up; ip -n ${nat} addr add ${inside}.1/24 dev lan
        ip -n ${client} link set eth0 up; ip -n ${client} addr add ${inside}.2/24 dev eth0; ip -n ${client} route add default via ${inside}.1
        ip -n ${client} neigh add ${inside}.1 lladdr ${router} dev eth0 nud permanent
        ip netns exec ${nat} sysctl -qw net.ipv4.ip_forward=1`)
    const rules = `${scratchDirectory()}/nat.nft`
    // A home router lets nobody in that was not called, and gives each destination a port of its own.
    writeFileSync(rules, `table ip nat {
  chain post {
    type nat hook postrouting priority 100;
    oifname "wan" masquerade random,fully-random
  }
}
table ip filter {
  chain forward {
    type filter hook forward priority 0; policy drop;
    iifname "lan" accept
    ct state established,related accept
  }
  chain input {
    type filter hook input priority 0; policy drop;
    iifname "lan" accept
    ct state established,related accept
  }
}
`)
    sh(`ip netns exec ${nat} nft -f ${rules}`)
  }
  const wrappers = scratchDirectory()
  const natOf = (client: string): string => names.find(name => name.client === client)?.nat ?? ''
  return {
    pub,
    clients: names.map(({ client }) => client),
    machine: (name, address) => {
      const [machine, cable] = [`${tag}${name}`, `${tag}x${made.length}`]
      made.push(machine)
      sh(`ip netns add ${machine}; ip -n ${machine} link set lo up
          ip link add ${cable} netns ${pub} type veth peer name wan netns ${machine}
          ip -n ${pub} link set ${cable} master net up
          ip -n ${machine} link set wan up; ip -n ${machine} addr add ${address}/24 dev wan`)
      return machine
    },
    unplug: client => sh(`ip -n ${natOf(client)} link set lan down`),
    plug: client => sh(`ip -n ${natOf(client)} link set lan up`),
    blockUdp: client => sh(`ip netns exec ${natOf(client)} nft insert rule ip filter forward meta l4proto udp drop`),
    allowOnlyTcpTo: (client, port) => sh(`ip netns exec ${natOf(client)} nft insert rule ip filter forward iifname lan tcp dport != ${port} drop
        ip netns exec ${natOf(client)} nft insert rule ip filter forward iifname lan meta l4proto != tcp drop`),
    chromiumIn: (client, home, nameserver) => {
      const [program, file] = [`${wrappers}/chromium-${client}`, `${wrappers}/resolv-${client}.conf`]
      writeFileSync(file, `nameserver ${nameserver}\n`)
      const asks = nameserver === undefined ? '' : `unshare --mount sh -ec 'mount --bind ${file} /etc/resolv.conf; exec "$@"' sh `
      writeFileSync(program, `#!/bin/sh\n${home === undefined ? '' : `export HOME=${home}\n`}exec ip netns exec ${client} ${asks}/usr/bin/chromium "$@"\n`)
      chmodSync(program, 0o755)
      return program
    },
  }
}
