/** `node scripts/strip-types.ts <directory>`: takes the types out of its TypeScript files, in place and line for line, for bin/plain-types.mjs. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'

const [directory = ''] = process.argv.slice(2)
for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter(file => file.endsWith('.ts'))) {
  const file = join(directory, name)
  writeFileSync(file, stripTypeScriptTypes(readFileSync(file, 'utf8')))
}
