/** PUT /containers/{id}/archive: the files of a launch are taken out of the archive and packed anew, as coturn's user's and nothing else. */
import { basename } from 'node:path'
import { extract, pack } from 'tar-stream'
import { NOBODY, PATHS } from '../protocol/coturn-container.ts'
import { Refused } from './refused.ts'

const FILES: ReadonlySet<string> = new Set([PATHS.conf, PATHS.cert, PATHS.key].map(path => basename(path)))

/** Throws Refused for a file of another name, a link, a device, a directory, or what is no archive. */
export async function repack (archive: Buffer): Promise<Buffer> {
  const files = await filesIn(archive)
  if (files.size === 0) throw new Refused('there is no file in the archive')
  const packed = pack()
  for (const [name, text] of files) packed.entry({ name, mode: 0o400, uid: NOBODY, gid: NOBODY }, text)
  packed.finalize()
  return await whole(packed)
}

async function filesIn (archive: Buffer): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>()
  const unpacked = extract()
  unpacked.end(archive)
  try {
    for await (const entry of unpacked) {
      const { name, type } = entry.header
      if (type !== 'file' || !FILES.has(name)) throw new Refused('the archive holds something else than the files of a coturn')
      files.set(name, await whole(entry))
    }
  } catch (error) {
    if (error instanceof Refused) throw error
    throw new Refused('the body is no archive')
  }
  return files
}

async function whole (stream: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}
