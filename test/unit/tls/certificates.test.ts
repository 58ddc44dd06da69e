/** Who does not serve the certificate yet is asked again soon, and not at the next look at the files. */
import { onTestFinished, expect, test } from 'vitest'
import { Certificates, type Install } from '../../../src/tls/certificates.ts'
import { scratchDirectory, selfMadeCertificate, until } from '../../kit/files.ts'

async function askedUntilServed (answers: readonly (() => ReturnType<Install>)[]): Promise<{ asked: () => number, said: string[] }> {
  let asked = 0
  const said: string[] = []
  const log = { info: () => {}, warn: (_about: object, words: string) => { said.push(words) }, error: () => {} }
  const certificates = new Certificates({ files: selfMadeCertificate(scratchDirectory()), checkSeconds: 3600, log: log as never, metrics: { add: () => {}, set: () => {} } })
  certificates.use('relay', () => answers[Math.min(asked++, answers.length - 1)]?.())
  await certificates.start()
  onTestFinished(async () => { await certificates.stop() })
  await certificates.check()
  await until('it is served', () => asked >= answers.length)
  return { asked: () => asked, said }
}

test('one that is being started is asked again, and nothing is said of it', async () => {
  const { asked, said } = await askedUntilServed([() => false, () => true])
  expect([asked(), said]).toEqual([2, []])
})

test('one that did not take it is asked again, and that is said once', async () => {
  const refuse = (): never => { throw new Error('port 5349 shows another one') }
  const { asked, said } = await askedUntilServed([refuse, refuse, () => {}])
  expect([asked(), said]).toEqual([3, ['the new certificate is not served everywhere; tried again']])
})
