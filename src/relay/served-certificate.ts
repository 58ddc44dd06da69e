/** Which certificate a coturn serves, as a client sees it. */
import { X509Certificate } from 'node:crypto'
import { connect } from 'node:tls'
import type { Pair } from '../tls/pair.ts'

/** Resolves when the relay at this address serves the certificate. Throws where it does not within the time. */
export async function requireServed ({ host, port }: { host: string, port: number }, { cert }: Pair, withinMs: number): Promise<void> {
  const wanted = new X509Certificate(cert).fingerprint256
  const endsAt = performance.now() + withinMs
  for (;;) {
    const seen = await fingerprintAt(host, port).catch((error: unknown) => `nothing (${(error as Error).message})`)
    if (seen === wanted) return
    if (performance.now() > endsAt) throw new Error(`port ${port} shows ${seen}`)
    await new Promise(resolve => setTimeout(resolve, 100).unref())
  }
}

async function fingerprintAt (host: string, port: number): Promise<string> {
  return await new Promise((resolve, reject) => {
    // What it is worth is not the question here: which one it is.
    const socket = connect({ host, port, rejectUnauthorized: false, timeout: 2000 }, () => {
      resolve(socket.getPeerX509Certificate()?.fingerprint256 ?? 'no certificate')
      socket.destroy()
    })
    // Nobody stays for it.
    socket.unref()
    socket.once('error', reject)
    socket.once('timeout', () => socket.destroy(new Error('no answer')))
  })
}
