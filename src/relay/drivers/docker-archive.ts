/** The files of a launch as the tar archive that the engine unpacks into a container (PUT /containers/{id}/archive). */
import { pack } from 'tar-stream'
import { NOBODY } from '../../protocol/coturn-container.ts'
import type { Launch } from '../driver.ts'

export async function launchArchive ({ conf, tls }: Launch): Promise<Buffer> {
  return await archiveOf({ 'turnserver.conf': conf, ...(tls === null ? {} : tlsFiles(tls)) })
}

/** The certificate alone: a container that runs takes it in place of the one that it has. */
export async function tlsArchive (tls: NonNullable<Launch['tls']>): Promise<Buffer> {
  return await archiveOf(tlsFiles(tls))
}

function tlsFiles ({ cert, key }: NonNullable<Launch['tls']>): Record<string, string> {
  return { 'cert.pem': cert, 'key.pem': key }
}

async function archiveOf (files: Readonly<Record<string, string>>): Promise<Buffer> {
  const archive = pack()
  for (const [name, text] of Object.entries(files)) archive.entry({ name, mode: 0o400, uid: NOBODY, gid: NOBODY }, text)
  archive.finalize()
  const chunks: Buffer[] = []
  for await (const chunk of archive) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}
