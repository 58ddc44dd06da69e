/** Follows a container's log and cuts it into lines. */
import type { Container } from 'dockerode'
import { PassThrough } from 'node:stream'
import { createInterface } from 'node:readline'

/** Calls back for each line of standard output and error; resolves to how to stop. */
export async function followContainerLog (container: Container, onLine: (line: string) => void): Promise<() => void> {
  const stream = await container.logs({ follow: true, stdout: true, stderr: true })
  const lines = new PassThrough()
  container.modem.demuxStream(stream, lines, lines)
  createInterface({ input: lines }).on('line', onLine)
  stream.on('error', () => {})
  return () => (stream as unknown as { destroy (): void }).destroy()
}
