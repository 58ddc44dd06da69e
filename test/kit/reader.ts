/** Somebody who reads the documentation: a Turnpike of their own, a shell with `turnpike` in it, and what they copy. */
import { execFile } from 'node:child_process'
import { chmodSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { loopbackSettings } from './app.ts'
import { whenDone } from './cleanup.ts'
import { run, runHere } from './command.ts'
import { freePorts, scratchDirectory, until } from './files.ts'

export type Said = { code: number, out: string, err: string }
export type Reader = {
  url: string
  env: Record<string, string>
  /** As the documentation writes an address or a key → what stands for it here. */
  here (text: string): string
  /** In bash, as it is pasted, but it stops at the first command that fails. `turnpike` is there. */
  paste (text: string, env?: Record<string, string>): Promise<Said>
  /** As a program of its own, from a file with this ending. */
  runProgram (program: string, ending: string, text: string, env?: Record<string, string>): Promise<Said>
  /** The API with the admin key. */
  ask (method: string, path: string, body?: object): Promise<Record<string, unknown>>
}

/** Starts it as the README says, and waits until the relay is proved. */
export async function startReader (more: Record<string, string> = {}): Promise<Reader> {
  const [httpPort = 0, metricsPort] = await freePorts(2)
  const settings: Record<string, string> = { ...await loopbackSettings(), TURNPIKE_HTTP_PORT: String(httpPort), TURNPIKE_METRICS_PORT: String(metricsPort), ...more }
  const started = run('npm', ['start'], settings)
  const url = `http://127.0.0.1:${httpPort}`
  await until('a relay that is proved', async () => await fetch(`${url}/readyz`).then(({ ok }) => ok, () => false), 60_000).catch((error: unknown) => { throw new Error(`${String(error)}\n${started.all()}`) })
  const keys = Object.fromEntries(readFileSync(`${settings['TURNPIKE_DATA_DIR']}/first-keys`, 'utf8').trim().split('\n').map(line => line.split('=') as [string, string]))
  const { PATH = '', HOME = '' } = process.env
  const data = settings['TURNPIKE_DATA_DIR'] ?? ''
  const env = { HOME, PATH: `${await turnpikeOnPath(settings)}:${process.cwd()}/node_modules/.bin:${PATH}`, TURNPIKE_DATA_DIR: data, TURNPIKE_URL: url, ...keys }
  const here = (text: string): string => text.replaceAll(/http:\/\/localhost:8080|https:\/\/(?:turnpike\.example|meet\.example\.org)/g, url).replaceAll(/wss:\/\/(?:turnpike\.example|meet\.example\.org)/g, url.replace('http', 'ws')).replaceAll('tpk_…', keys['TURNPIKE_API_KEY'] ?? '')
  return {
    url,
    env,
    here,
    paste: (text, own = {}) => call('bash', ['--norc', '-euo', 'pipefail', '-c', here(text)], { ...env, ...own }, checkout()),
    runProgram: (program, ending, text, own = {}) => {
      const directory = checkout()
      writeFileSync(`${directory}/program.${ending}`, here(text))
      return call(program, [...(program === 'go' ? ['run'] : []), `program.${ending}`], { ...env, ...own }, directory)
    },
    ask: async (method, path, body) => {
      const answer = await fetch(url + path, { method, headers: { authorization: `Bearer ${keys['TURNPIKE_ADMIN_KEY']}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
      const text = await answer.text()
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
      return text === '' ? {} : JSON.parse(text) as Record<string, unknown>
    },
  }
}

async function call (program: string, args: string[], env: Record<string, string>, cwd: string): Promise<Said> {
  return await new Promise(resolve => execFile(program, args, { env, cwd, timeout: 60_000, maxBuffer: 16 * 1024 * 1024 }, (error, out, err) => {
    resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : 127, out, err: error === null ? err : `${err}${error.message}` })
  }))
}

/** A directory that looks like this one, in which files may be left behind. */
function checkout (): string {
  const directory = scratchDirectory()
  for (const name of ['bin', 'compose', 'docs', 'node_modules', 'sdk']) symlinkSync(`${process.cwd()}/${name}`, `${directory}/${name}`)
  return directory
}

/** A command of that name that is carried out in this process: a second is saved for each of them. Returns the directory for PATH. */
async function turnpikeOnPath (settings: Record<string, string>): Promise<string> {
  const directory = scratchDirectory()
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
      const words = Buffer.concat(chunks).toString().split('\0').slice(0, -1)
      // The exit code goes along as a status.
      runHere({ TURNPIKE_DATA_DIR: settings['TURNPIKE_DATA_DIR'] ?? '' }, ...words).then(({ code, out, err }) => response.writeHead(code === 0 ? 200 : 400 + code).end(code === 0 ? out : out + err), (error: unknown) => response.writeHead(500).end(String(error)))
    })
  })
  await new Promise<void>(resolve => server.listen(`${directory}/door`, resolve))
  whenDone(() => server.close())
  writeFileSync(`${directory}/turnpike`, `#!/bin/sh
said=$(mktemp ${directory}/said.XXXXXX)
status=$(for word; do printf '%s\\0' "$word"; done | curl -sS -o "$said" -w '%{http_code}' --unix-socket ${directory}/door --data-binary @- http://turnpike/)
cat "$said"
[ "$status" = 200 ] || exit $((status - 400))
`)
  chmodSync(`${directory}/turnpike`, 0o755)
  return directory
}
