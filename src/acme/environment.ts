/** A process's environment. */
export type Environment = Readonly<Record<string, string | undefined>>

/** What the programs that we start find in theirs: all but settings of ours, because there are secrets among them. */
export function foreignEnvironment (env: Environment): Environment {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('TURNPIKE_')))
}
