/** A version of Turnpike as an operator has it: the files of this one in a directory of their own, under a name of image of the test's, changed as the test wants. */
import { execFile } from 'node:child_process'
import { cpSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Said } from './command.ts'

const FILES = ['bin', 'src', 'sdk', 'systemd', 'compose', 'scripts', 'package.json', 'package-lock.json', '.npmrc', '.dockerignore', 'LICENSE']

export type Release = { directory: string, turnpike (...args: string[]): Promise<Said>, edit (file: string, change: (text: string) => string): void }

/** `env` is all that its command line knows beside where programs are. */
export function makeRelease (directory: string, env: Record<string, string>): Release {
  for (const file of FILES) cpSync(file, join(directory, file), { recursive: true, filter: source => !/\.(env|deployed\.yaml)$/.test(source) })
  symlinkSync(realpathSync('node_modules'), join(directory, 'node_modules'))
  const { PATH = '', HOME = '' } = process.env
  return {
    directory,
    turnpike: async (...args) => await new Promise(resolve => {
      execFile('node', ['bin/turnpike.mjs', ...args], { cwd: directory, env: { PATH, HOME, ...env }, maxBuffer: 64 * 1024 * 1024 }, (error, out, err) => resolve({ code: error === null ? 0 : Number(error.code), out, err }))
    }),
    edit: (file, change) => writeFileSync(join(directory, file), change(readFileSync(join(directory, file), 'utf8'))),
  }
}
