/** Every protocol of others that is spoken here. */
import type { DialectName } from '../../protocol/project-settings.ts'
import type { Dialect } from '../dialect.ts'
import { GRPC } from './grpc.ts'
import { AYAME } from './ayame.ts'
import { libdatachannel } from './libdatachannel.ts'

export const DIALECT_TABLE: Partial<Record<DialectName, Dialect>> = {
  grpc: GRPC,
  ayame: AYAME,
  libdatachannel,
}
