/**
 * For node --no-strip-types --import: takes .ts files as the JavaScript that scripts/strip-types.ts has made of them. What Node.js would take
 * types out with costs each process 20 MB for as long as it lives, so the image has none to take out.
 */
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'

registerHooks({ load: (url, context, next) => (url.endsWith('.ts') ? { format: 'module', source: readFileSync(fileURLToPath(url), 'utf8'), shortCircuit: true } : next(url, context)) })
