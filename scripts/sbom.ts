/**
 * `npm run sbom`: what is in the image and comes from npm, as CycloneDX (npm sbom), to standard output. Made from the lockfile alone, without
 * what changes from one time to the next, so that the same lockfile gives the same text.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

type Entry = { dev?: boolean, devOptional?: boolean, optional?: boolean }
type Bom = { serialNumber?: string, metadata: { timestamp?: string, tools?: unknown, component: { name: string } } }

/** npm leaves out of a lockfile's list what tests need too: so it is given one without the tests' own. */
export function sbom (): string {
  const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Record<string, unknown>
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { packages: Record<string, Entry> }
  const directory = mkdtempSync(join(tmpdir(), 'turnpike-sbom-'))
  try {
    const packages = Object.entries(lock.packages).filter(([, { dev, optional, devOptional }]) => dev !== true && optional !== true && devOptional !== true)
    write(directory, 'package.json', onlyShipped(manifest))
    write(directory, 'package-lock.json', { ...lock, packages: Object.fromEntries(packages.map(([path, entry]) => [path, path === '' ? onlyShipped(entry) : entry])) })
    const printed = execFileSync('npm', ['sbom', '--sbom-format=cyclonedx', '--sbom-type=application', '--package-lock-only'], { cwd: directory, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024, stdio: ['ignore', 'pipe', 'ignore'] })
    const bom = JSON.parse(printed) as Bom
    delete bom.serialNumber
    delete bom.metadata.timestamp
    delete bom.metadata.tools
    // npm takes the name of the directory.
    bom.metadata.component.name = String(manifest['name'])
    return `${JSON.stringify(bom, null, 1)}\n`
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function onlyShipped (described: object): object {
  return Object.fromEntries(Object.entries(described).filter(([name]) => !['devDependencies', 'optionalDependencies', 'overrides', 'scripts'].includes(name)))
}

function write (directory: string, file: string, content: object): void {
  writeFileSync(join(directory, file), JSON.stringify(content))
}

if (import.meta.main) process.stdout.write(sbom())
