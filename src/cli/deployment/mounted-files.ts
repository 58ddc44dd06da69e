/** Files of the repository that containers have mounted. Compose does not see that they have changed, so that a container would go on with what it has read. */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { writePrivate } from './env-file.ts'

/** Each service's, in the directory of the compose file. */
const SERVICES = ['edge', 'prometheus', 'grafana'] as const
const RECORD = '.deployed.files.json'

export function recordMounted (directory: string): void {
  writePrivate(join(directory, RECORD), `${JSON.stringify(digests(directory))}\n`)
}

/** The services whose files are others than were recorded last; none where nothing was recorded. */
export function changedSince (directory: string): string[] {
  const file = join(directory, RECORD)
  if (!existsSync(file)) return []
  const [then, now] = [JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>, digests(directory)]
  return SERVICES.filter(service => then[service] !== undefined && then[service] !== now[service])
}

function digests (directory: string): Record<string, string> {
  return Object.fromEntries(SERVICES.filter(service => existsSync(join(directory, service))).map(service => [service, digestOf(join(directory, service))]))
}

function digestOf (directory: string): string {
  const hash = createHash('sha256')
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort().filter(file => statSync(join(directory, file)).isFile())
  for (const file of files) hash.update(`${file}\0`).update(readFileSync(join(directory, file))).update('\0')
  return hash.digest('hex')
}
