/** What a line of coturn's log tells (4.6.1 to 4.18.0, without `verbose`). */

export type RefusalCause = 'wrong_credentials' | 'forbidden_peer' | 'no_port'
export type LogLine = { level: 'error' | 'other', refusal: RefusalCause | null, /** It goes on without a line of its configuration, or without all of it. */ isNotAsConfigured: boolean, /** Of a single client: it names users and addresses. */ isOfAClient: boolean }

const REFUSALS: readonly { form: RegExp, cause: RefusalCause }[] = [
  // 401: of 4.6.1, and of 4.13 and newer.
  { form: /Cannot find credentials of user|credentials of user .* are (wrong|expired)/, cause: 'wrong_credentials' },
  { form: /A peer IP .* denied/, cause: 'forbidden_peer' },
  { form: /create_relay_ioa_sockets: no available ports/, cause: 'no_port' },
]
/** What coturn says where a mistake of ours would make it serve everybody. */
const NOT_AS_CONFIGURED = /Bad configuration format|Wrong address (range )?format|Cannot find config file/
/** Most of coturn's errors are refusals of single clients. */
const OF_A_CLIENT = /user|session|peer|check_stun|remote/i

export function readLogLine (text: string): LogLine {
  return {
    level: /\bERROR\b/.test(text) ? 'error' : 'other',
    refusal: REFUSALS.find(({ form }) => form.test(text))?.cause ?? null,
    isNotAsConfigured: NOT_AS_CONFIGURED.test(text),
    isOfAClient: OF_A_CLIENT.test(text),
  }
}
