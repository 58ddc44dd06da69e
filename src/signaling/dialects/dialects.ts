/** Every protocol of others that is spoken here. */
import type { DialectName } from '../../protocol/project-settings.ts'
import type { Dialect } from '../dialect.ts'
import { libdatachannel } from './libdatachannel.ts'
import { peerjs } from './peerjs.ts'

export const DIALECT_TABLE: Partial<Record<DialectName, Dialect>> = { libdatachannel, peerjs }
