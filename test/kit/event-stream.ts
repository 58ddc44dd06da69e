/** A client of an event stream that shows what came, as it came. */
import { get, type IncomingMessage } from 'node:http'
import type { TestApp } from './app.ts'
import { whenDone } from './cleanup.ts'
import { until } from './files.ts'

export type StreamEvent = { id: string, type: string, data: Record<string, unknown> }
export type Stream = { status: number, response: IncomingMessage, events: StreamEvent[], text (): string, isOver (): boolean, next (type: string): Promise<StreamEvent>, close (): void }

/** Resolves when the answer has begun, whatever it is. */
export async function watchStream (app: Pick<TestApp, 'url'>, path: string, headers: Record<string, string>): Promise<Stream> {
  const request = get(app.url().replace('localhost', '127.0.0.1') + path, { headers: { accept: 'text/event-stream', ...headers } })
  whenDone(() => request.destroy())
  const response = await new Promise<IncomingMessage>((resolve, reject) => request.on('response', resolve).on('error', reject))
  const stream = { text: '', isOver: false, read: 0, parsed: 0 }
  const events: StreamEvent[] = []
  response.on('data', (bytes: Buffer) => {
    stream.text += bytes.toString()
    const end = stream.text.lastIndexOf('\n\n')
    if (end < stream.parsed) return
    events.push(...stream.text.slice(stream.parsed, end).split('\n\n').flatMap(eventOf))
    stream.parsed = end + 2
  })
  response.on('error', () => {}).on('close', () => { stream.isOver = true })
  return {
    ...{ status: response.statusCode ?? 0, response, events },
    text: () => stream.text,
    isOver: () => stream.isOver,
    next: async type => {
      let found = -1
      await until(`an event ${type}`, () => (found = events.findIndex((event, i) => i >= stream.read && event.type === type)) !== -1)
      stream.read = found + 1
      return events[found] as StreamEvent
    },
    close: () => request.destroy(),
  }
}

function eventOf (block: string): StreamEvent[] {
  const fields = new Map(block.split('\n').map(line => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]))
  const [id, type, data] = [fields.get('id'), fields.get('event'), fields.get('data')]
  return id === undefined || type === undefined || data === undefined ? [] : [{ id, type, data: JSON.parse(data) as Record<string, unknown> }]
}
