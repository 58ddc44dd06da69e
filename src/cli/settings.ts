/** The settings of this process for its commands; what is wrong with them is said. */
import { readFileSync } from 'node:fs'
import { loadConfig, type Loaded } from '../config/load.ts'
import type { World } from './command.ts'

/** Null where they are wrong. */
export function loadOrComplain (env: World['env']): Loaded | null {
  const loaded = loadConfig({ env, readFile: path => readFileSync(path, 'utf8') })
  for (const warning of loaded.warnings) process.stderr.write(`turnpike: note: ${warning}\n`)
  if (loaded.problems.length === 0) return loaded
  const lines = loaded.problems.map(({ where, message }) => `  ${where} ${message}\n`)
  process.stderr.write(`turnpike: the configuration has ${lines.length === 1 ? 'a problem' : `${lines.length} problems`}:\n${lines.join('')}`)
  return null
}
