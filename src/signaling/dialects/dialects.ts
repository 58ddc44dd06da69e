/** Every protocol of others that is spoken here. */
import type { DialectName } from '../../protocol/project-settings.ts'
import type { Dialect } from '../dialect.ts'
import { ayame } from './ayame.ts'
import { grpc } from './grpc.ts'
import { libdatachannel } from './libdatachannel.ts'
import { peerjs } from './peerjs.ts'

export const DIALECT_TABLE: Readonly<Record<DialectName, Dialect>> = { ayame, grpc, libdatachannel, peerjs }
