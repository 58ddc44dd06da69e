import { execFileSync, spawn } from 'node:child_process'
import { createPrivateKey } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { accountKeyIn, CertificateFile, replaceFile } from '../../../src/acme/files.ts'
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
  file.write({ pair: { cert, key }, authority: 'https://ca.example/dir', issuedAt: 1000 })
  expect(file.read()).toMatchObject({ authority: 'https://ca.example/dir', issuedAt: 1000 })
  expect(file.read()?.pair.cert).toBe(cert)
  file.write({ pair: { cert, key: pair().key }, authority: 'https://ca.example/dir', issuedAt: 1000 })
  expect(file.read()).toBeNull()
})

test('kill -9 in the middle of writing leaves the old pair or the new one, never half of one', async () => {
  const path = `${scratchDirectory()}/certificates/current.pem`
  const [one, other] = ['one', 'other'].map(authority => ({ pair: pair(), authority, issuedAt: 0 }))
  if (one === undefined) throw new Error('there are two')
  const file = new CertificateFile(path)
  file.write(one)
  const program = `import { CertificateFile } from ${JSON.stringify(resolve('src/acme/files.ts'))}
    const file = new CertificateFile(${JSON.stringify(path)})
    process.stdout.write('begun')
    for (;;) { file.write(${JSON.stringify(one)}); file.write(${JSON.stringify(other)}) }`
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

test('where there is room for a part of it only, the old text stays and that is said', () => {
  const path = `${scratchDirectory()}/text`
  replaceFile(path, 'old')
  const program = `import { replaceFile } from ${JSON.stringify(resolve('src/acme/files.ts'))}
    try { replaceFile(${JSON.stringify(path)}, 'n'.repeat(600_000)) } catch (error) { process.stdout.write(error.code) }`
  // A limit for files in place of a disk: the kernel writes as much as fits, and refuses the rest.
  const said = execFileSync('sh', ['-c', 'ulimit -f 100; exec "$@"', 'sh', process.execPath, '--disable-warning=ExperimentalWarning', '--input-type=module-typescript', '-e', program], { encoding: 'utf8' })
  expect([readFileSync(path, 'utf8'), said]).toEqual(['old', 'data-dir-unwritable'])
})

test.each([['empty', ''], ['words', 'no key'], ['a certificate', pair().cert]])('an account whose key is %s has none, and gets a new one', (_what, text) => {
  const path = `${scratchDirectory()}/account.pem`
  writeFileSync(path, text)
  const key = accountKeyIn(path)
  expect(createPrivateKey(key).asymmetricKeyDetails?.namedCurve).toBe('prime256v1')
  expect(accountKeyIn(path)).toBe(key)
})
