import { expect, test } from 'vitest'
import { examineConntrack, examineDisk, examineMemory, examineOpenFiles, examinePortRange, examineSocketBuffers } from '../../../../src/relay/doctor/machine.ts'
import type { DoctorSubject } from '../../../../src/relay/doctor/subject.ts'
import { filesOf, subjectOf } from './subjects.ts'

const buffers = (read: string, write: string) => filesOf({ '/proc/sys/net/core/rmem_max': read, '/proc/sys/net/core/wmem_max': write })

test('socket buffers below 2 MiB come with the lines that raise them', () => {
  expect(examineSocketBuffers(buffers('4194304\n', '2097152\n'))).toMatchObject([{ result: 'ok' }])
  const [small] = examineSocketBuffers(buffers('212992\n', '2097152\n'))
  expect(small).toMatchObject({ result: 'warning', what: 'net.core.rmem_max is 212992, below 2097152.' })
  expect(small?.cure).toBe("As root: sysctl -w net.core.rmem_max=2097152; and to keep it over a restart of the machine: printf '%s\\n' net.core.rmem_max=2097152 >> /etc/sysctl.d/60-turnpike.conf")
  expect(examineSocketBuffers(filesOf({}))).toMatchObject([{ result: 'unknown', cure: expect.stringContaining('sysctl net.core.rmem_max net.core.wmem_max') }])
})

test.each([[null, '0', 'ok'], ['262144', '100', 'ok'], ['65536', '100', 'warning'], ['262144', '220000', 'warning'], ['262144', '262100', 'failed']])('with a table of %s connections and %s in it: %s', (most, count, result) => {
  const files = most === null ? {} : { '/proc/sys/net/netfilter/nf_conntrack_max': most, '/proc/sys/net/netfilter/nf_conntrack_count': count }
  const [found] = examineConntrack(filesOf(files), 20_000)
  expect(found?.result).toBe(result)
  if (result !== 'ok') expect(found?.cure).toMatch(/sysctl -w net\.netfilter\.nf_conntrack_max=\d+/)
})

const limits = (soft: string, hard: string): string => `Limit  Soft Limit  Hard Limit  Units\nMax open files            ${soft}                 ${hard}              files\n`

test.each<[string, Partial<DoctorSubject>, Record<string, string>, string | undefined, RegExp]>([
  ['a child may raise its limit to ours', {}, { '/proc/self/limits': limits('1024', '1048576') }, 'ok', /may open 1048576/],
  ['a process is judged by what it has', { pid: 7 }, { '/proc/7/limits': limits('1024', '1048576') }, 'warning', /enough for 462 allocations.*LimitNOFILE=2100/],
  ['in a container', { pid: 7, driver: 'docker' }, { '/proc/7/limits': limits('1024', '1024') }, 'warning', /default-ulimits.*2100/],
  ['without any limit', { pid: 7 }, { '/proc/7/limits': limits('unlimited', 'unlimited') }, 'ok', /unlimited/],
  ['a container that is not seen', { driver: 'docker' }, { '/proc/self/limits': limits('1', '1') }, 'unknown', /pidof turnserver/],
  ['a process that has ended', { pid: 7 }, {}, 'unknown', /not to be seen/],
  ['a relay of somebody else', { driver: 'external' }, {}, undefined, /undefined/],
])('open files: %s', (_name, subject, files, result, words) => {
  const [found] = examineOpenFiles(subjectOf(subject), filesOf(files))
  expect(found?.result).toBe(result)
  expect(`${found?.what} ${found?.cure}`).toMatch(words)
})

test('few ports are told, and that a container pays nothing for many', () => {
  expect(examinePortRange(subjectOf({ minPort: 50000, maxPort: 50011 }))).toMatchObject([{ result: 'warning', what: expect.stringContaining('12 ports') }])
  expect(examinePortRange(subjectOf({ driver: 'docker' }))).toMatchObject([{ result: 'ok', what: expect.stringMatching(/1000 ports.*cost nothing/) }])
  expect(examinePortRange(subjectOf({ driver: 'external' }))).toEqual([])
})

test.each([[50e9, 100e9, 'ok'], [80e9, 1000e9, 'ok'], [800e6, 10e9, 'warning'], [4e9, 100e9, 'warning'], [50e6, 100e9, 'failed'], [0, 0, 'failed']])('with %d bytes free of %d the disk is %s', async (freeBytes, totalBytes, result) => {
  const [found] = await examineDisk('/data', async () => ({ freeBytes, totalBytes }))
  expect([found?.result, found?.cure === null]).toEqual([result, result === 'ok'])
})

test.each([[50, 'ok'], [8, 'warning'], [2, 'failed']])('with %d %% of memory free it is %s', (share, result) => {
  expect(examineMemory(filesOf({ '/proc/meminfo': `MemTotal:  1000000 kB\nMemAvailable:  ${share * 10_000} kB\n` }))).toMatchObject([{ result }])
})

test('memory that cannot be read is unknown', () => {
  expect(examineMemory(filesOf({}))).toMatchObject([{ result: 'unknown' }])
})
