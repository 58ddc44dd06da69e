/** Tests by kind. Those that start real programs run one file after another: two cores and fixed ports are shared by all of them. */
import { defineConfig } from 'vitest/config'

const kinds = [
  { name: 'unit', testTimeout: 20_000 },
  { name: 'repo', testTimeout: 60_000 },
  { name: 'integration', testTimeout: 60_000 },
  { name: 'browser', testTimeout: 90_000 },
  { name: 'docker', testTimeout: 60_000 },
  { name: 'compose', testTimeout: 600_000 },
  // These share nothing with those before, nor do those of browser, docker and compose: npm test runs them in processes of their own, beside.
  { name: 'signaling', testTimeout: 120_000 },
  { name: 'network', testTimeout: 120_000 },
  { name: 'minutes', testTimeout: 240_000 },
]
const inParallel = new Set(['unit', 'repo'])

export default defineConfig({
  test: {
    projects: kinds.map(({ name, testTimeout }, groupOrder) => ({
      extends: true as const,
      test: { name, include: [`test/${name}/**/*.test.ts`], testTimeout, hookTimeout: testTimeout, fileParallelism: inParallel.has(name), sequence: { groupOrder } },
    })),
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      // Both run in browsers, where this does not look; test/browser drives them.
      exclude: ['src/client/**', 'src/console/**'],
      // scripts/test.ts adds up the processes in which tests ran.
      reporter: ['lcovonly'],
    },
  },
})
