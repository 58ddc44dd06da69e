/** The kernel settings that a relay needs on Linux, with the lines that set them: the doctor and the sizing tell the same. */

export type KernelSetting = { /** As sysctl names it. */ name: string, value: number }

/** What coturn asks for (sock-buf-size, from 4.8 on); the kernel cuts it down to these limits without a word. */
const SOCKET_BUFFER_BYTES = 2 * 1024 * 1024
/** One between client and relay, and one to the peer; the second peer address of a call that ICE also tries; and as much again for what else the machine does. */
const TRACKED_PER_PORT = 4

export function socketBufferSettings (): KernelSetting[] {
  return [{ name: 'net.core.rmem_max', value: SOCKET_BUFFER_BYTES }, { name: 'net.core.wmem_max', value: SOCKET_BUFFER_BYTES }]
}

/** For so many relay ports; matters only where connections are tracked at all. */
export function conntrackSetting (ports: number): KernelSetting {
  return { name: 'net.netfilter.nf_conntrack_max', value: Math.max(65_536, ports * TRACKED_PER_PORT) }
}

export function kernelFileOf (name: string): string {
  return `/proc/sys/${name.replaceAll('.', '/')}`
}

/** One command for now, and what keeps it over a restart of the machine. */
export function sysctlLines (settings: readonly KernelSetting[]): { now: string, lasting: string } {
  return {
    now: `sysctl -w ${settings.map(({ name, value }) => `${name}=${value}`).join(' ')}`,
    lasting: `printf '%s\\n' ${settings.map(({ name, value }) => `${name}=${value}`).join(' ')} >> /etc/sysctl.d/60-turnpike.conf`,
  }
}
