/** What a deployment is to the operator's commands: Turnpike on this machine under something that keeps it running. */
import type { Ended } from './programs.ts'

type Finding = { ready: boolean, reason?: string, cure?: string }
/** What /readyz answers. */
export type Readiness = { ready: boolean, relay: Finding, store: Finding, certificate?: Finding }

/** Null: as it is, or as is usual. */
export type Wishes = { domain: string | null, /** Of Docker Compose. */ profile: string | null }

export type Deployment = {
  kind: 'Docker Compose' | 'systemd'
  /** How an operator runs our own command line where the server is. */
  commandLine: string
  isThere (): Promise<boolean>
  /** The name that it is reached by, as its settings say; null where they say none. */
  domain (): string | null
  /** What of it does not run although Turnpike itself may, in words. */
  troubles (): Promise<string[]>
  /** A file that says that it was deployed out of this directory; null where there is none. */
  trace (): string | null
  /** Writes what it needs, and starts it. Changes nothing that is right already. */
  start (wishes: Wishes): Promise<void>
  /** Our own command line, where the server is. */
  turnpike (args: readonly string[]): Promise<Ended>
  /** Null where nobody answers. */
  readiness (): Promise<Readiness | null>
  /** Why waiting for it is in vain; null where it is not. */
  hopeless (): Promise<string | null>
  /** Remembers what runs now, and is well, as what an upgrade goes back to. */
  remember (): Promise<void>
  /** What the server said of itself when it started. */
  summary (): Promise<string>
  /** The version that runs, and what it consists of, for people. */
  parts (): Promise<{ version: string, text: string }>
  logs (wishes: { follow: boolean, service: string | null }): Promise<number>
  /** Takes everything away; resolves to what could not be. */
  uninstall (wishes: { keepData: boolean }): Promise<string[]>
  upgrading: Upgrading
}

/** The steps of an upgrade, in their order. */
export type Upgrading = {
  /** What one upgrade at a time goes by. */
  name (): string
  /** Brings the new version beside the one that runs. Where it throws, nothing has changed. */
  prepare (): Promise<'brought' | 'runs already'>
  /** Will calls go on meanwhile? Else why not. */
  whyCallsEnd (): Promise<string | null>
  /** Where `backUp` writes to, in words. */
  backups: string
  /** Writes the database into a file of this name, where `rollBack` finds it. */
  backUp (name: string): Promise<void>
  /** Names of the files that stand where `backUp` writes to. */
  listBackups (): Promise<string[]>
  deleteBackups (names: readonly string[]): Promise<void>
  /** Puts the new version in the place of the old one; coturn stays. */
  switchOver (): Promise<void>
  /** Puts the old version back, and the database as it was. Where the database cannot be put back, the old version is started all the same, and then it throws. */
  rollBack (backup: string): Promise<void>
  /** What an operator types to put the database back. */
  byHand (backup: string): string[]
  /** Remembers the new version as the one to go back to. */
  keep (): Promise<void>
}

/** What is said to the operator on the way. */
export type Say = (line: string) => void
