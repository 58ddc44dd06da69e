import { expect, test } from 'vitest'
import { problemOf } from '../../../src/http/problems.ts'
import { TurnpikeError } from '../../../src/protocol/errors.ts'

test('an error that is not ours leaves without its words', () => {
  const problem = problemOf(new Error('ENOENT: /var/lib/secret'), 'request-1')
  expect(problem).toMatchObject({ type: 'urn:turnpike:error:internal', status: 500, code: 'internal', instance: 'request-1' })
  expect(JSON.stringify(problem)).not.toContain('secret')
})

test('one of ours leaves whole', () => {
  const error = new TurnpikeError('invalid-request', 'ttl must be an integer', { fields: [{ field: 'ttl', message: 'must be an integer' }] })
  expect(problemOf(error, 'x')).toEqual({ type: 'urn:turnpike:error:invalid-request', title: 'The request is not valid', status: 400, detail: 'ttl must be an integer', code: 'invalid-request', cure: 'Correct the fields named in errors.', instance: 'x', errors: [{ field: 'ttl', message: 'must be an integer' }] })
})
