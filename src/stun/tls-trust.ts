/** A TLS handshake as a browser does it: is the certificate one that it would take? */
import { isIP } from 'node:net'
import { connect } from 'node:tls'

export type Trust = {
  /** Such as TLSv1.3. */
  protocol: string
  /** Why the certificate is not trusted (OpenSSL's word for it), or null. */
  distrust: string | null
}

/** Throws where there is no handshake at all. */
export async function shakeHands ({ host, port, timeoutMs }: { host: string, port: number, timeoutMs: number }): Promise<Trust> {
  return await new Promise((resolve, reject) => {
    // Whether it is trusted is looked at afterwards, so that the reason can be told.
    const socket = connect({ host, port, rejectUnauthorized: false, ...(isIP(host) === 0 ? { servername: host } : {}) })
    const deadline = setTimeout(() => {
      socket.destroy()
      reject(new Error(`no TLS handshake with ${host}:${port} within ${timeoutMs} ms`))
    }, timeoutMs)
    socket.once('error', error => {
      clearTimeout(deadline)
      socket.destroy()
      reject(error)
    })
    socket.once('secureConnect', () => {
      clearTimeout(deadline)
      const { authorized, authorizationError } = socket
      resolve({ protocol: socket.getProtocol() ?? 'TLS', distrust: authorized ? null : codeOf(authorizationError) })
      socket.destroy()
    })
  })
}

/** Node's types call it an Error; it is the code. */
function codeOf (error: unknown): string {
  return typeof error === 'string' ? error : (error as NodeJS.ErrnoException | null)?.code ?? String(error)
}
