import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'

/** Logs in a process of its own, as the log is written past whatever a test could put in its place. */
function logged (script: string, toTerminal: boolean): { out: string, err: string } {
  const source = `import { createLogger } from './src/cli/logger.ts'; const log = createLogger('debug', ${toTerminal}); ${script}`
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', source], { encoding: 'utf8' })
  return { out: stdout, err: stderr }
}

test('one JSON line for each event, to standard error, secrets under their usual names struck out', () => {
  const { out, err } = logged("log.info({ peer: 'a', path: '/v1/signal?token=query-value', token: 't0ken-value', deep: { authorization: 'Bearer x-value', conf: 'c-value' } }, 'joined')", false)
  expect(out).toBe('')
  expect(JSON.parse(err)).toMatchObject({ level: 'info', msg: 'joined', peer: 'a', path: '/v1/signal', token: '[secret]', deep: { authorization: '[secret]', conf: '[secret]' } })
  expect(err).not.toMatch(/-value/)
})

test('pretty where a person looks', () => {
  const { err } = logged("log.warn({ code: 'x' }, 'careful')", true)
  expect(err).toContain('careful')
  expect(err).not.toMatch(/^\{/)
})
