/** What every relay driver can do, and the words that supervisor, drivers and probe share. */
import type { TurnpikeError } from '../protocol/errors.ts'

/** The directory of coturn's user database as we see it, and whom its files are given to, where that is another user than ours. */
export type UserDatabaseHome = { directory: string, owner: { uid: number, gid: number } | null }

/** What a driver found when it looked for coturn, and where its files will stand for coturn to read. */
export type Prepared = {
  /** coturn's version ("4.6.1"), or null where it cannot be known (external). */
  version: string | null
  /** Paths as coturn sees them. */
  certPath: string
  keyPath: string
  /** Where coturn's user database stands; null for a coturn that is not ours. */
  userDatabase: UserDatabaseHome & { /** The file as coturn sees it. */ path: string } | null
  /** The user and group that coturn changes to once it has read its files; null where it is started as such already. */
  runAs: { user: string, group: string } | null
}

/** Everything that one coturn is started with. */
export type Launch = {
  /** The text of turnserver.conf; it holds secrets, so it is written with mode 0600 or 0400. */
  conf: string
  /** PEM texts, or null where TLS is not served. */
  tls: { cert: string, key: string } | null
  /** Where the relay will listen: looked at before the start, because coturn itself goes on without a port it cannot get. */
  listen: { address: string, port: number, tlsPort: number | null, control: { host: string, port: number } }
}

export type DriverEvents = {
  /** coturn has ended without being asked to. Called at most once for each start. */
  onExit (reason: TurnpikeError): void
  /** One line of coturn's log, without its line end. */
  onLogLine (line: string): void
}

export type Driver = {
  readonly kind: 'docker' | 'process' | 'external'
  /** Finds the program or image, pulling it where needed. Throws relay-program-missing, relay-program-refused, relay-image-missing or docker-unreachable. */
  prepare (): Promise<Prepared>
  /** Takes over a coturn that runs with exactly this launch, or ends one that runs with another, and starts coturn. `adopted` says which. */
  start (launch: Launch, events: DriverEvents): Promise<{ adopted: boolean }>
  /** Does a coturn run here that was started with something else? */
  runsAnother (launch: Launch): Promise<boolean>
  /** Takes over the coturn that runs here, whatever it was started with; null where none runs. */
  takeOver (events: DriverEvents): Promise<Pick<Prepared, 'userDatabase'> | null>
  /** Has the running coturn serve this certificate from now on: the files replaced, then SIGUSR2. */
  replaceTls (tls: NonNullable<Launch['tls']>): Promise<void>
  /** SIGUSR1. Before 4.6.3 it would end coturn. */
  drain (): Promise<void>
  /** Ends coturn within the deadline (ms), with force at its end, also one that an earlier process of ours has left. Resolves when it is gone. Does nothing where none runs. */
  stop (deadlineMs: number): Promise<void>
  /** Lets go of coturn without ending it. */
  release (): void
}

/** One thing that the probe looked at, over one transport. */
export type RelayCheck = {
  check: 'binding' | 'refuses-strangers' | 'allocate' | 'forbidden-peer' | 'echo' | 'clock'
  transport: 'udp' | 'tcp' | 'tls'
  result: 'passed' | 'failed' | 'left-out'
  /** Plain words: what was seen. */
  detail: string
  roundTripMs: number | null
}
