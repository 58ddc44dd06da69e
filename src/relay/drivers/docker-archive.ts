/** The files of a launch as the tar archive that the engine unpacks into a container (PUT /containers/{id}/archive). */
import { pack } from 'tar-stream'
import type { Launch } from '../driver.ts'
import { NOBODY } from './docker-container.ts'

export async function launchArchive ({ conf, tls }: Launch): Promise<Buffer> {
  const archive = pack()
  const add = (name: string, text: string): void => { archive.entry({ name, mode: 0o400, uid: NOBODY, gid: NOBODY }, text) }
  add('turnserver.conf', conf)
  if (tls !== null) {
    add('cert.pem', tls.cert)
    add('key.pem', tls.key)
  }
  archive.finalize()
  const chunks: Buffer[] = []
  for await (const chunk of archive) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}
