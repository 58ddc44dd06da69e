import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { CertificateFile } from '../../../src/acme/files.ts'
import { scratchDirectory, selfMadeCertificate, until } from '../../kit/files.ts'

function pair (): { cert: string, key: string } {
  const { cert, key } = selfMadeCertificate(scratchDirectory())
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') }
}

test('what is written is read again, with the authority that it is from; half a file is none', () => {
  const path = `${scratchDirectory()}/certificates/current.pem`
  const file = new CertificateFile(path)
  expect(file.read()).toBeNull()
  const { cert, key } = pair()
  file.write({ cert, key }, 'https://ca.example/dir')
  expect(file.read()?.authority).toBe('https://ca.example/dir')
  expect(file.read()?.pair.cert).toBe(cert)
  file.write({ cert, key: pair().key }, 'https://ca.example/dir')
  expect(file.read()).toBeNull()
})

test('kill -9 in the middle of writing leaves the old pair or the new one, never half of one', async () => {
  const path = `${scratchDirectory()}/certificates/current.pem`
  const [one, other] = [pair(), pair()]
  const file = new CertificateFile(path)
  file.write(one, 'one')
  const program = `import { CertificateFile } from ${JSON.stringify(resolve('src/acme/files.ts'))}
    const file = new CertificateFile(${JSON.stringify(path)})
    process.stdout.write('begun')
    for (;;) { file.write(${JSON.stringify(one)}, 'one'); file.write(${JSON.stringify(other)}, 'other') }`
  const seen: string[] = []
  for (const afterMs of [0, 1, 3, 7, 12]) {
    const writer = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', '--input-type=module-typescript', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(writer.stdout, 'data')
    const endsAt = performance.now() + afterMs
    await until('some of it is written', () => performance.now() >= endsAt)
    writer.kill('SIGKILL')
    await once(writer, 'exit')
    seen.push(file.read()?.authority ?? 'half a file')
  }
  expect(seen).toHaveLength(5)
  expect(seen.filter(authority => authority !== 'one' && authority !== 'other')).toEqual([])
})
