/** Every fenced block of README.md and docs/*.md: what a reader may copy. */
import { readdirSync, readFileSync } from 'node:fs'

export type Block = { page: string, line: number, language: string, text: string }

const FENCED = /^```(\w*)\n([^]*?)^```$/gm

export const pages = (): string[] => ['README.md', ...readdirSync('docs').filter(name => name.endsWith('.md')).sort().map(name => `docs/${name}`)]

export function blocksOf (page: string): Block[] {
  const text = readFileSync(page, 'utf8')
  return [...text.matchAll(FENCED)].map(({ index, 1: language = '', 2: code = '' }) => ({ page, line: text.slice(0, index).split('\n').length + 1, language, text: code }))
}

/** The one block of the page that holds these words; throws where there is none, or more. */
export function blockWith (page: string, words: string): Block {
  const [block, ...others] = blocksOf(page).filter(({ text }) => text.includes(words))
  if (block === undefined || others.length > 0) throw new Error(`${page} has ${block === undefined ? 'no block' : 'more than one block'} with ${words}`)
  return block
}
