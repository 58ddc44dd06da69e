import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { listSettings } from '../../src/config/settings.ts'
import { expectedFile, generatedTexts } from '../../scripts/docs.ts'
import { runHere } from '../kit/command.ts'
import { pages } from '../kit/doc-blocks.ts'

test.each(generatedTexts())('$file says what the code says (npm run docs writes it)', generated => {
  expect(existsSync(generated.file)).toBe(true)
  expect(readFileSync(generated.file, 'utf8')).toBe(expectedFile(generated))
})

/** As GitHub makes them of a heading. */
function anchorsOf (page: string): string[] {
  const headings = [...readFileSync(page, 'utf8').replaceAll(/^```[^]*?^```$/gm, '').matchAll(/^#+ (.*)$/gm)]
  return headings.map(([, words = '']) => words.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-'))
}

test.each([...pages(), 'CHANGELOG.md', 'CONTRIBUTING.md', 'sdk/README.md'])('every link of %s leads somewhere', page => {
  const links = [...readFileSync(page, 'utf8').replaceAll(/^```[^]*?^```$/gm, '').matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link).filter(link => !/^\w+:/.test(link))
  const dead = links.filter(link => {
    const [path = '', anchor] = link.split('#')
    const file = path === '' ? page : join(dirname(page), path)
    return !existsSync(file) || (anchor !== undefined && !anchorsOf(file).includes(anchor))
  })
  expect(dead).toEqual([])
})

const typed = pages().flatMap(page => [...readFileSync(page, 'utf8').replaceAll(/^```[^]*?^```$/gm, '').matchAll(/`turnpike ([a-z][^`]*)`/g)].map(([, words = '']) => words))

test('every command within a sentence is one, with options that it has', async () => {
  expect(typed.length).toBeGreaterThan(50)
  const wrong: string[] = []
  for (const command of new Set(typed)) {
    const words = command.split(' ').filter(word => /^[a-z-]+$/.test(word) && !word.startsWith('-'))
    // What it says of itself begins with its name, of one word or two, and what it takes.
    const { out } = await runHere({}, ...words.slice(0, 2), '--help')
    const isKnown = new RegExp(`^turnpike ${words[0]}(?: ${words[1]})?(?:\\n| [<[])`).test(out)
    const unknown = (command.match(/--[a-z-]+/g) ?? []).filter(option => option !== '--help' && !out.includes(option))
    if (!isKnown || unknown.length > 0) wrong.push(command)
  }
  expect(wrong).toEqual([])
})

/** The reader's own, and the one that names the file of settings. */
const NO_SETTINGS = ['TURNPIKE_URL', 'TURNPIKE_CONFIG']

test.each(pages())('every variable that %s names is a setting', page => {
  const known = new Set([...NO_SETTINGS, ...listSettings().map(({ variable }) => variable)])
  const named = readFileSync(page, 'utf8').match(/\bTURNPIKE_[A-Z0-9_]*[A-Z0-9](?!\w|\*)/g) ?? []
  expect([...new Set(named)].filter(name => !known.has(name.replace(/_FILE$/, '')) && !known.has(name))).toEqual([])
})
