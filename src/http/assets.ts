/** The files of the call page and of the SDK, read once: TypeScript with its types taken out (line for line), the rest as it is. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { gzipSync } from 'node:zlib'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { TurnpikeError } from '../protocol/errors.ts'

/** Not in the image, which is run with --no-strip-types. */
const HAS_TYPES = process.features.typescript !== false

export type Asset = { body: Buffer, gzipped: Buffer, type: string, etag: string }

/** What a browser may have: an allow-list, by the path under /assets/. */
const FILES = [
  'console/call.css',
  'console/call.ts',
  'console/peer-tile.ts',
  'console/media.ts',
  'console/home.ts',
  'console/stage.ts',
  'console/token.ts',
  'client/api.ts',
  'client/channel.ts',
  'client/client-error.ts',
  'client/client.ts',
  'client/connection.ts',
  'client/connections.ts',
  'client/events.ts',
  'client/line.ts',
  'client/negotiation.ts',
  'client/outbox.ts',
  'client/page.ts',
  'client/reconnect.ts',
  'client/room.ts',
  'client/session.ts',
  'client/stats-in-words.ts',
  'protocol/frames.ts',
] as const

/** The SDK, by the name under /sdk/ that pages load it by; `npm run sdk` makes the files. */
const SDK = { 'turnpike.js': 'turnpike.js', 'turnpike.umd.js': 'turnpike.umd.cjs', 'turnpike.d.ts': 'turnpike.d.ts' } as const

export function readSdk (): ReadonlyMap<string, Asset> {
  return new Map(Object.entries(SDK).map(([name, file]) => [name, asset(readFileSync(new URL(`../../sdk/${file}`, import.meta.url)), typeOf(name))]))
}

export function readAssets (): ReadonlyMap<string, Asset> {
  return new Map(FILES.map(file => [file, readAsset(file)]))
}

/** One file of src/, such as console/call.html. */
export function readAsset (file: string): Asset {
  const text = readFileSync(new URL(`../${file}`, import.meta.url), 'utf8')
  return asset(Buffer.from(file.endsWith('.ts') && HAS_TYPES ? stripTypeScriptTypes(text) : text), typeOf(file))
}

function asset (body: Buffer, type: string): Asset {
  return { body, gzipped: gzipSync(body), type, etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"` }
}

function typeOf (file: string): string {
  if (file.endsWith('.d.ts')) return 'text/plain; charset=utf-8'
  if (/\.[jt]s$/.test(file)) return 'text/javascript; charset=utf-8'
  return file.endsWith('.css') ? 'text/css; charset=utf-8' : 'text/html; charset=utf-8'
}

/** Asked for again with each load, and answered with 304 while it is the same. */
export function sendAsset (request: FastifyRequest, reply: FastifyReply, asset: Asset | undefined): FastifyReply {
  if (asset === undefined) throw new TurnpikeError('not-found', 'there is no such file')
  reply.headers({ 'cache-control': 'no-cache', etag: asset.etag, vary: 'accept-encoding' })
  if (request.headers['if-none-match'] === asset.etag) return reply.code(304).send()
  reply.type(asset.type)
  if (!/\bgzip\b/.test(request.headers['accept-encoding'] ?? '')) return reply.send(asset.body)
  return reply.header('content-encoding', 'gzip').send(asset.gzipped)
}
