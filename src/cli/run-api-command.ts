/** Runs a command that asks the API: finds the way to it, collects pages, prints. */
import type { Config } from '../config/schema.ts'
import { ERRORS, TurnpikeError } from '../protocol/errors.ts'
import { openClient, sendJson, sendOk, type ApiClient, type ApiRequest } from './api-client.ts'
import type { ApiCommand } from './api-command.ts'
import type { Input, World } from './command.ts'
import { createLogger } from './logger.ts'
import { loadOrComplain } from './settings.ts'

const PAGE = 1000

/** Resolves to the exit code. Throws what the API refused with. */
export async function runApiCommand (command: ApiCommand, input: Input, world: World): Promise<number> {
  const request = command.request(input)
  const client = await clientFor(input, world)
  if (client === null) return ERRORS['config-invalid'].exit
  try {
    if (command.isRaw?.(input) === true) {
      process.stdout.write((await sendOk(client, request)).body)
      return 0
    }
    const answer = command.list === undefined ? await sendJson(client, request) : await collect(client, request, command.list, limitOf(input))
    if (command.remark !== undefined && !input.switches.has('json')) process.stderr.write(command.remark(answer))
    process.stdout.write(input.switches.has('json') ? `${JSON.stringify(answer, null, 2)}\n` : command.show(answer, input))
    if (answer['next'] !== undefined && answer['next'] !== null) process.stderr.write('turnpike: there is more; --limit shows more\n')
    return 0
  } finally {
    await client.close()
  }
}

/** Null where the settings are wrong. */
export async function clientFor ({ options }: Pick<Input, 'options'>, { env, version }: World): Promise<ApiClient | null> {
  const loaded = loadOrComplain(env)
  if (loaded === null) return null
  const { config } = loaded
  return await openClient({ url: options['url'], key: config.adminKey ?? config.apiKey, dataDir: config.dataDir, openHouse: await houseOpener(config, version) })
}

async function houseOpener (config: Config, version: string) {
  const { createApp } = await import('../app.ts')
  return () => createApp(config, { nowSeconds: () => Math.floor(Date.now() / 1000), log: createLogger('silent', false), version, programPath: [], dockerHost: undefined, installRelay: false })
}

/** Page after page, as many entries as are wanted; `next` tells that there are more. */
async function collect (client: ApiClient, request: ApiRequest, list: string, limit: number): Promise<Record<string, unknown>> {
  const all: unknown[] = []
  let cursor: string | undefined
  for (;;) {
    const page = await sendJson(client, { ...request, query: { ...request.query, limit: String(Math.min(PAGE, limit - all.length)), cursor } })
    all.push(...page[list] as unknown[])
    cursor = typeof page['next'] === 'string' ? page['next'] : undefined
    if (cursor === undefined || all.length >= limit) return { ...page, [list]: all }
  }
}

function limitOf ({ options }: Input): number {
  const text = options['limit'] ?? String(PAGE)
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text)
  throw new TurnpikeError('invalid-request', `--limit ${text} is no number from 1 on`, { fields: [{ field: '--limit', message: 'must be a number from 1 on' }] })
}
