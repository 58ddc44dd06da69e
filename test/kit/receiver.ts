/** The server of somebody else that webhooks go to: it answers as it is told, and remembers what it was sent. */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import { whenDone } from './cleanup.ts'

export type Sent = { headers: IncomingHttpHeaders, body: string, event: { id: string, type: string, at: number, project: string } & Record<string, unknown> }
export type Receiver = {
  url: string
  /** Everything that was sent here, also what was refused. */
  sent: Sent[]
  /** What was answered with 2xx. */
  taken: Sent[]
  /** How many connections were given up by the other side before they were answered. */
  aborted: () => number
  answerWith (answer: Answer): void
}
/** A status; or what is done with the response itself, such as nothing. */
export type Answer = (sent: Sent) => number | ((response: ServerResponse) => void)

export async function startReceiver (first: Answer = () => 200): Promise<Receiver> {
  let answer = first
  let aborted = 0
  const [sent, taken]: [Sent[], Sent[]] = [[], []]
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    response.on('close', () => { if (!response.writableFinished) aborted++ })
    request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
      const body = Buffer.concat(chunks).toString()
      const one: Sent = { headers: request.headers, body, event: JSON.parse(body) as Sent['event'] }
      sent.push(one)
      const answered = answer(one)
      if (typeof answered === 'function') return answered(response)
      if (answered < 300) taken.push(one)
      response.writeHead(answered).end()
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  whenDone(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as { port: number }).port}/hook`, sent, taken, aborted: () => aborted, answerWith: next => { answer = next } }
}
