/** Rules of the house that a machine can check: names, sizes, silenced rules, words that must not be in the project. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { expect, test } from 'vitest'
import { ERRORS } from '../../src/protocol/errors.ts'

const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { encoding: 'utf8' }).trim().split('\n')
const sources = tracked.filter(file => /^(src|test|bench|scripts|bin)\/.*\.(ts|mjs)$/.test(file))

test('no file has a name that says nothing', () => {
  const empty = /^(utils?|helpers?|common|shared|base|core|lib|misc|manager|service|handler|impl)$/
  expect(sources.length).toBeGreaterThan(60)
  expect(sources.filter(file => file.split('/').some(part => empty.test(basename(part).replace(/\.(test\.)?(ts|mjs)$/, ''))))).toEqual([])
  expect(sources.filter(file => !/^[a-z0-9./-]+$/.test(file))).toEqual([])
})

test('no rule is silenced, no test left out and nothing left for later', () => {
  const marks = /eslint-disable|@ts-ignore|@ts-nocheck|\b(it|test|describe)\.(skip|only|todo)\b|\b(TODO|FIXME|XXX)\b/
  expect(sources.filter(file => file !== 'test/repo/house.test.ts' && marks.test(readFileSync(file, 'utf8')))).toEqual([])
})

test('every file says at its top what it is for', () => {
  const silent = sources.filter(file => /^(src|scripts|bin|bench)\//.test(file) && !/^(#!.*\n)?\/\*\*/.test(readFileSync(file, 'utf8')))
  expect(silent).toEqual([])
})

test('error titles are unique, and each error ends in a cure', () => {
  const entries = Object.values(ERRORS)
  expect(entries.length).toBeGreaterThan(40)
  expect(new Set(entries.map(entry => entry.title)).size).toBe(entries.length)
  expect(entries.filter(entry => !/\.$/.test(entry.cure))).toEqual([])
})

test('every error code is raised somewhere and provoked by some test', () => {
  const read = (pattern: RegExp): string => tracked.filter(file => pattern.test(file)).map(file => readFileSync(file, 'utf8')).join('\n')
  const code = read(/^(src|bin)\/.*\.(ts|mjs)$/).replace(read(/^src\/protocol\/errors\.ts$/), '')
  const tests = read(/^test\/(?!repo\/|kit\/)[^/]+\/.*\.ts$/)
  const missingIn = (text: string): string[] => Object.keys(ERRORS).filter(name => !new RegExp(`(?<![\\w-])${name}(?![\\w-])`).test(text))
  expect(missingIn(code)).toEqual([])
  expect(missingIn(tests)).toEqual([])
})
