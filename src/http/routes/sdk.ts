/** GET /sdk/…: the SDK as one file, for pages of any site (docs/sdk.md). */
import type { App } from '../app-type.ts'
import { readSdk, sendAsset } from '../assets.ts'

export function serveSdk (app: App): void {
  const files = readSdk()
  app.get<{ Params: { file: string } }>('/sdk/:file', { config: { access: 'public' }, schema: { hide: true } }, (request, reply) => {
    // A page that asks for no foreign thing without leave (COEP) may have it too.
    reply.headers({ 'access-control-allow-origin': '*', 'cross-origin-resource-policy': 'cross-origin' })
    return sendAsset(request, reply, files.get(request.params.file))
  })
}
