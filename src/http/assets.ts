/** The files of the call page, read once: TypeScript with its types taken out (line for line), the rest as it is. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'

export type Asset = { body: Buffer, type: string, etag: string }

/** What a browser may have: an allow-list, by the path under /assets/. */
const FILES = [
  'console/call.css',
  'console/call.ts',
  'console/peer-tile.ts',
  'console/media.ts',
  'console/home.ts',
  'client/client.ts',
  'client/negotiation.ts',
  'client/stats-in-words.ts',
  'protocol/errors.ts',
  'protocol/frames.ts',
] as const

export function readAssets (): ReadonlyMap<string, Asset> {
  return new Map(FILES.map(file => [file, readAsset(file)]))
}

/** One file of src/, such as console/call.html. */
export function readAsset (file: string): Asset {
  const text = readFileSync(new URL(`../${file}`, import.meta.url), 'utf8')
  const body = Buffer.from(file.endsWith('.ts') ? stripTypeScriptTypes(text) : text)
  return { body, type: typeOf(file), etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"` }
}

function typeOf (file: string): string {
  if (file.endsWith('.ts')) return 'text/javascript; charset=utf-8'
  return file.endsWith('.css') ? 'text/css; charset=utf-8' : 'text/html; charset=utf-8'
}
