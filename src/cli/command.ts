/** What a command is, to those that list, read and run commands. */

export type Option = { /** Of its value; null for a switch. */ value: string | null, text: string, many?: boolean }
/** What was typed after the command. */
export type Input = { args: string[], options: Readonly<Record<string, string | undefined>>, switches: ReadonlySet<string>, lists: Readonly<Record<string, string[]>> }
export type Command = {
  summary: string
  /** Is it one that other programs run, so that the short help leaves it out? */
  isForPrograms?: true
  /** What stands after the command; one that ends with ? may be left out. */
  args: readonly string[]
  options: Readonly<Record<string, Option>>
}
export type Commands = Readonly<Record<string, Command>>
export type World = { env: Readonly<Record<string, string | undefined>>, version: string, /** All of them. */ commands: Commands }

/** What was typed cannot be made anything of. */
export class UsageError extends Error {}
