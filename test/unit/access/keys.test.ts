import { crc32 } from 'node:zlib'
import { expect, test } from 'vitest'
import { ApiKeys } from '../../../src/access/api-keys.ts'
import { newAdminKeyText, newKeyText, readKeyText } from '../../../src/access/key-text.ts'
import { Projects } from '../../../src/access/projects.ts'
import { scratchStore } from '../../kit/store.ts'

const nowSeconds = (): number => 1_800_000_000

function keysOf (): ApiKeys {
  const store = scratchStore()
  const projects = new Projects(store, {}, nowSeconds)
  expect(projects.get('default')).toBeDefined()
  return new ApiKeys(store, {}, nowSeconds)
}

/** The key with another byte in its secret, and the checksum that belongs to it. */
function withChanged (text: string, at: number): string {
  const body = text.slice(0, -7)
  const changed = `${body.slice(0, at)}${body[at] === 'A' ? 'B' : 'A'}${body.slice(at + 1)}`
  return `${changed}${crc32(changed).toString(36).padStart(7, '0')}`
}

test('every single wrong character of a key is told by its checksum', () => {
  for (const text of [newKeyText('secret').text, newKeyText('publishable').text, newAdminKeyText()]) {
    expect(readKeyText(text).hasTypo).toBe(false)
    for (let at = text.lastIndexOf('_') + 1; at < text.length - 7; at++) expect(readKeyText(`${text.slice(0, at)}${text[at] === 'x' ? 'y' : 'x'}${text.slice(at + 1)}`).hasTypo, `at ${at}`).toBe(true)
  }
})

test('a key is right or wrong as a whole: neither its id alone nor its secret under another id counts', () => {
  const keys = keysOf()
  const [one, other] = [keys.make('default', {}), keys.make('default', {})]
  expect(keys.callerOf(one.text)).toMatchObject({ kind: 'project', project: 'default', keyId: one.key.id })
  for (const wrong of [one.text.slice(0, -1), `${one.text} `, one.text.toUpperCase(), withChanged(one.text, 20), one.text.replace(one.key.id, other.key.id), `tpk_${one.key.id}_`, `tpk_${one.key.id}`, '', 'x'.repeat(513)]) {
    expect(() => keys.callerOf(wrong), wrong).toThrow(expect.objectContaining({ code: 'unauthorized' }))
  }
})

test('100,000 wrong keys: a wrong first byte, a wrong last byte and an id that nobody has take the same time', () => {
  const keys = keysOf()
  const { text } = keys.make('default', {})
  const secretAt = text.lastIndexOf('_') + 1
  const wrong = [withChanged(text, secretAt), withChanged(text, text.length - 8), withChanged(text, 6)]
  const times: number[][] = [[], [], []]
  const tryOnce = (kind: number): number => {
    const began = process.hrtime.bigint()
    try {
      keys.callerOf(wrong[kind] ?? '')
    } catch {
      return Number(process.hrtime.bigint() - began)
    }
    throw new Error('a wrong key was taken')
  }
  for (let i = 0; i < 100_000; i++) {
    const kind = i % 3
    times[kind]?.push(tryOnce(kind))
  }
  // What other programs on this machine did is in the slow tail; what the code does is in the middle.
  const [first = 0, last = 0, nobody = 0] = times.map(all => all.sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0)
  expect(Math.abs(first - last) / last, `first byte ${first} ns, last byte ${last} ns`).toBeLessThan(0.1)
  // Whether an id exists costs no more than what SQLite takes to say no, which is hidden in a request a hundred times as long.
  expect(Math.abs(nobody - last), `unknown id ${nobody} ns, known id ${last} ns`).toBeLessThan(10_000)
})
