/** The APIs of others that we answer, in a scope of their own: they send forms, and look for other fields in an error. */
import type { App } from '../app-type.ts'
import { cloudflareForm } from './cloudflare.ts'
import type { FormNeeds } from './form.ts'
import { matrixForm } from './matrix.ts'
import { meteredForm } from './metered.ts'
import { stunnerForm } from './stunner.ts'
import { turnRestForm } from './turn-rest.ts'
import { twilioForm } from './twilio.ts'
import { whipForm } from './whip.ts'

export async function serveForms (app: App, needs: FormNeeds): Promise<void> {
  await app.register(async plugin => {
    const scope = plugin as unknown as App
    scope.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) => {
      done(null, Object.fromEntries(new URLSearchParams(body.toString())))
    })
    for (const form of [turnRestForm, stunnerForm, twilioForm, cloudflareForm, meteredForm, matrixForm, whipForm]) form(scope, needs)
  })
}
