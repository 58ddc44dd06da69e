/** Signaling protocols of others, switched on for a test. */
import type { TestApp } from './app.ts'

/** For the default project. */
export async function allowDialects (app: TestApp, settings: { dialects: string[], anonymousDialects?: boolean }): Promise<void> {
  const { status, body } = await app.request('/v1/projects/default', { method: 'PATCH', key: app.adminKey, body: JSON.stringify(settings) })
  if (status !== 200) throw new Error(JSON.stringify(body))
}
