/** POST /v1/backup: the whole database as one file. Admin keys only: every secret of this server is in it. */
import { createReadStream, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import type { Access } from '../../access/access.ts'
import type { App } from '../app-type.ts'
import { audit } from '../audit-trail.ts'
import { problems } from '../schemas.ts'
import Type from 'typebox'

export type BackupNeeds = { access: Pick<Access, 'audit'>, store: { backUpTo (file: string): void }, config: { dataDir: string } }

const schema = {
  summary: 'A backup: the whole database, consistent, as one SQLite file',
  description: 'Keep it as you would keep a key: with it anybody is this server. `turnpike restore` puts it back.',
  tags: ['Backup'],
  security: [{ key: [] }],
  response: { 200: { description: 'The file', content: { 'application/vnd.sqlite3': { schema: Type.String({ format: 'binary' }) } } }, ...problems('store-unwritable') },
}

export function serveBackup (app: App, { access, store, config }: BackupNeeds): void {
  app.post('/v1/backup', { config: { access: 'admin' }, schema }, (request, reply) => {
    // First: what cannot be written down is not done.
    audit(access, request, { action: 'backup', project: null, target: 'database' })
    const stream = createReadStream('', { fd: copyWithoutName(store, `${config.dataDir}/backups`) })
    reply.type('application/vnd.sqlite3').headers({ 'cache-control': 'no-store', 'content-disposition': 'attachment; filename="turnpike-backup.db"' }).send(stream as never)
  })
}

/** Beside the database, because what /tmp is may be memory. It has no name any more when it is read: nothing is left of it, however this ends. */
function copyWithoutName (store: BackupNeeds['store'], backups: string): number {
  mkdirSync(backups, { recursive: true, mode: 0o700 })
  const directory = mkdtempSync(`${backups}/outgoing-`)
  try {
    store.backUpTo(`${directory}/turnpike.db`)
    return openSync(`${directory}/turnpike.db`, 'r')
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
