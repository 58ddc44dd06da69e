/** Watches a container: its log, cut into lines, and its end; also across a restart of the engine that the container outlives (live-restore). */
import type { Container } from 'dockerode'
import { PassThrough } from 'node:stream'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'

export type ContainerEvents = { onLine: (line: string) => void, /** Called once, with how. */ onEnd: (what: string) => void }
type Log = { stop: () => void, closed: Promise<void> }

const PAUSE_MS = 500
const ANSWER_WITHIN_MS = 3000

/** Its log is told from then on (Unix seconds): of a container that is taken over, what it said before was told before. Resolves to how to stop. */
export async function watchContainer (container: Container, since: number, { onLine, onEnd }: ContainerEvents): Promise<() => void> {
  const watch = { isOver: false, log: await followLog(container, onLine, since) }
  const stopped = new AbortController()
  // One question for the whole watch: each that is not answered would keep the process alive.
  const ended = container.wait({ abortSignal: stopped.signal }).catch(() => {})
  let isAnswered = false
  ended.then(() => { isAnswered = true }, () => {})
  const goOn = async (): Promise<void> => {
    for (;;) {
      // Where the engine goes away, the answer to `wait` never comes; the log at least is closed.
      await (isAnswered ? watch.log.closed : Promise.race([watch.log.closed, ended]))
      const lostAt = Date.now() / 1000
      let end = await endOf(container)
      while (end === undefined && !watch.isOver) {
        await wait(PAUSE_MS, undefined, { ref: false })
        end = await endOf(container)
      }
      if (watch.isOver) return
      watch.log.stop()
      if (typeof end === 'string') {
        stopped.abort()
        return onEnd(end)
      }
      await wait(PAUSE_MS, undefined, { ref: false })
      if (watch.isOver) return
      watch.log = await followLog(container, onLine, lostAt).catch(() => watch.log)
      if (watch.isOver) return watch.log.stop()
    }
  }
  goOn().catch(error => onEnd(`what became of the container of coturn is not known: ${(error as Error).message}`))
  return () => {
    watch.isOver = true
    stopped.abort()
    watch.log.stop()
  }
}

async function followLog (container: Container, onLine: ContainerEvents['onLine'], since: number): Promise<Log> {
  const stream = await container.logs({ follow: true, stdout: true, stderr: true, since })
  const lines = new PassThrough()
  container.modem.demuxStream(stream, lines, lines)
  createInterface({ input: lines }).on('line', onLine)
  stream.on('error', () => {})
  return { stop: () => (stream as unknown as { destroy (): void }).destroy(), closed: new Promise(resolve => stream.once('close', resolve)) }
}

/** How it has ended; null while it runs, undefined where the engine does not tell. */
async function endOf (container: Container): Promise<string | null | undefined> {
  const asked = container.inspect().then(({ State: { Running, ExitCode, OOMKilled } }) => {
    if (Running) return null
    return `the container of coturn has ended with exit code ${ExitCode}${OOMKilled ? ': it was out of memory, and the kernel ended it' : ''}`
  }, (error: { statusCode?: number }) => (error.statusCode === 404 ? 'the container of coturn has ended and was removed' : undefined))
  return await Promise.race([asked, wait(ANSWER_WITHIN_MS, undefined, { ref: false })])
}
