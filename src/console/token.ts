/** What lets a visitor in, from the server; or in words why not. */

type Ticket = { url: string, token: string }

const ANSWER_WITHIN_MS = 10_000

/** Rejects with an Error whose message can be shown. */
export async function askForToken (room: string, name: string): Promise<Ticket> {
  const body = JSON.stringify(name === '' ? {} : { name })
  let answer: Partial<Ticket & { title: string, cure: string }> = {}
  try {
    answer = await (await fetch(`/call/${encodeURIComponent(room)}/token`, { method: 'POST', headers: { 'content-type': 'application/json' }, body, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) })).json() as typeof answer
  } catch {
    // Nobody answers, or a proxy does, in words of its own.
  }
  const { url, token, title, cure } = answer
  if (url !== undefined && token !== undefined) return { url, token }
  throw new Error(title === undefined ? 'The server cannot be reached now. Look whether you have a network, and try again in a moment.' : `${title}. ${cure}`)
}
