/**
 * THE table of errors: everything that can go wrong and be said to somebody outside, once.
 * Problem documents (RFC 9457), WebSocket error frames, close codes (RFC 6455 §7.4.2), exit codes and docs/errors.md are made from it.
 */

/** What a client should do about an error: give up, wait and try again, or connect again at once. */
export type Retry = 'never' | 'backoff' | 'now'

type ErrorEntry = {
  /** HTTP status, for routes and for a refused WebSocket upgrade. */
  status: number
  /** WebSocket close code, where the error ends the socket. */
  close?: number
  /** Process exit code (sysexits.h), where the error ends the command line. */
  exit?: number
  retry: Retry
  /** What went wrong, in a few words that never change. */
  title: string
  /** What the reader can do about it. */
  cure: string
}

export const ERRORS = {
  // Requests
  'invalid-request': { status: 400, retry: 'never', title: 'The request is not valid', cure: 'Correct the fields named in errors.' },
  'invalid-json': { status: 400, retry: 'never', title: 'The body is not valid JSON', cure: 'Send one JSON object, encoded as UTF-8.' },
  unauthorized: { status: 401, retry: 'never', title: 'No valid key was presented', cure: 'Send Authorization: Bearer and an API key of this project.' },
  forbidden: { status: 403, retry: 'never', title: 'This key may not do that', cure: 'Use a key that has the right named in detail; an admin key has all of them.' },
  'not-found': { status: 404, retry: 'never', title: 'There is no such thing', cure: 'Check the address, the id and the project that are named in detail; /v1/docs shows the routes that exist.' },
  'method-not-allowed': { status: 405, retry: 'never', title: 'This address does not answer that method', cure: 'Use one of the methods named in the Allow header.' },
  'body-too-large': { status: 413, retry: 'never', title: 'The body is too large', cure: 'Send a smaller body; the limit is in detail.' },
  'unsupported-media-type': { status: 415, retry: 'never', title: 'The body has a type that is not read here', cure: 'Send Content-Type: application/json.' },
  'too-many-requests': { status: 429, retry: 'backoff', title: 'Too many requests', cure: 'Wait as long as Retry-After says.' },
  'project-disabled': { status: 403, retry: 'never', title: 'The project is switched off', cure: 'An admin can switch it on: PATCH /v1/projects/{project} with enabled: true.' },
  'user-revoked': { status: 403, retry: 'never', title: 'The user, its key or its project is revoked', cure: 'Wait until the time in detail, or lift it: GET /v1/turn/revocations lists what is revoked, DELETE /v1/turn/revocations/{subject} lifts one.' },
  'quota-exceeded': { status: 429, retry: 'backoff', title: 'A quota is used up', cure: 'Wait until it resets (Retry-After), or have it raised; the quota is named in errors.' },
  'form-off': { status: 403, retry: 'never', title: 'The project does not answer this API', cure: 'Add it to the forms of the project.' },
  'project-exists': { status: 409, retry: 'never', title: 'There is such a project already', cure: 'Use another id, or PATCH the one that exists.' },
  'project-managed': { status: 409, retry: 'never', title: 'The project is declared in the configuration file', cure: 'Change it there, and start Turnpike again.' },
  'project-built-in': { status: 409, retry: 'never', title: 'This project cannot be deleted', cure: 'Switch it off: PATCH it with enabled: false.' },
  'integration-exists': { status: 409, retry: 'never', title: 'There is such an integration already', cure: 'Use another name, or rotate the one that exists.' },
  'integration-unsafe': { status: 409, retry: 'never', title: 'This coturn must not take user names that others make up', cure: 'Use coturn 4.13 or newer: the docker driver brings it.' },
  'secret-not-ours': { status: 409, retry: 'never', title: 'The secret is set from outside', cure: 'Change it at the relay and in TURNPIKE_RELAY_SECRET.' },
  'rotation-running': { status: 409, retry: 'backoff', title: 'The secret is being rotated already', cure: 'Wait for it; GET /v1/secrets/turn tells.' },
  'idempotency-key-reused': { status: 409, retry: 'never', title: 'The Idempotency-Key was used for another request', cure: 'Use a new key for a new request.' },
  'idempotency-key-busy': { status: 409, retry: 'backoff', title: 'A request with this Idempotency-Key is being answered', cure: 'Try again in a second.' },
  'store-unwritable': { status: 503, retry: 'backoff', title: 'Nothing can be written down now', cure: 'Free some space or make the data directory writable; credentials are issued meanwhile.' },
  'upgrade-required': { status: 426, retry: 'never', title: 'This address speaks WebSocket only', cure: 'Connect with a WebSocket client and the subprotocol turnpike.v1.' },
  internal: { status: 500, close: 1011, retry: 'backoff', title: 'Something failed on our side', cure: 'Try again; the request id in instance finds the cause in the log.' },
  'shutting-down': { status: 503, close: 1001, retry: 'now', title: 'The server is shutting down', cure: 'Connect again.' },

  // Relay
  'relay-unavailable': { status: 503, retry: 'backoff', title: 'No relay is ready', cure: 'See /readyz for the reason.' },
  'relay-port-busy': { status: 503, exit: 69, retry: 'backoff', title: 'The relay port is taken', cure: 'Stop the program that holds it, or set TURNPIKE_RELAY_PORT.' },
  'relay-address-wrong': { status: 503, exit: 69, retry: 'backoff', title: 'The relay cannot listen on its address', cure: 'Set TURNPIKE_RELAY_LISTEN_IP to an address of this machine.' },
  'relay-program-missing': { status: 503, exit: 69, retry: 'backoff', title: 'There is no coturn here', cure: 'Install coturn (apt-get install coturn), or set TURNPIKE_RELAY_DRIVER=docker.' },
  'relay-program-refused': { status: 503, exit: 69, retry: 'backoff', title: 'This version of coturn must not be used', cure: 'Install another version; docs/operations.md says which.' },
  'relay-image-missing': { status: 503, exit: 69, retry: 'backoff', title: 'The relay image is not here and cannot be pulled', cure: 'Pull or build it, or set TURNPIKE_RELAY_IMAGE.' },
  'docker-unreachable': { status: 503, exit: 69, retry: 'backoff', title: 'The Docker engine does not answer', cure: 'Start Docker, check the socket and its permissions, or set TURNPIKE_RELAY_DRIVER=process.' },
  'docker-refused': { status: 503, exit: 69, retry: 'backoff', title: 'The Docker guard does not let coturn be started', cure: 'See the log of the guard; run it from the same version of Turnpike, with the same data directory and image. Other images are named in TURNPIKE_GUARD_IMAGES.' },
  'relay-volume-missing': { status: 503, exit: 69, retry: 'backoff', title: 'The data directory is on no volume', cure: 'Mount a volume, or a directory of the machine, at TURNPIKE_DATA_DIR: the container of coturn reads its secrets there.' },
  'relay-control-lost': { status: 503, retry: 'backoff', title: 'The command line of coturn does not answer', cure: 'Try again; /readyz tells whether the relay is well. Of an external relay no allocation can be cut.' },
  'relay-config-rejected': { status: 503, exit: 70, retry: 'backoff', title: 'coturn rejected its configuration', cure: 'Report this with the line in detail: the configuration is ours.' },
  'relay-stopped': { status: 503, retry: 'backoff', title: 'The relay has ended', cure: 'It is started again by itself; the log says why it ended.' },
  'relay-unproven': { status: 503, retry: 'backoff', title: 'The relay did not pass its probe', cure: 'See detail for the check that failed.' },
  'relay-open': { status: 503, exit: 70, retry: 'backoff', title: 'The relay serves strangers', cure: 'It was stopped: an Allocate without credentials must be refused. Report this.' },
  'relay-full': { status: 503, retry: 'backoff', title: 'The relay has no room for another allocation', cure: 'Wait until calls end, or open more ports: TURNPIKE_RELAY_MIN_PORT, TURNPIKE_RELAY_MAX_PORT.' },
  'relay-drained': { status: 503, retry: 'backoff', title: 'The relay is out of service', cure: 'An operator drained it; POST /v1/relays/{relay}/restart (turnpike relays restart) brings it back.' },
  'relay-busy': { status: 409, retry: 'backoff', title: 'An operation of the relay is under way', cure: 'Wait for it; GET /v1/relays/{relay} tells how far it is. The same operation asked for again takes a new drainSeconds.' },
  'relay-not-ours': { status: 409, retry: 'never', title: 'The relay is run by somebody else', cure: 'Do it where the relay runs; here it can be drained and restarted, which is to be sent to or not.' },
  'relay-clock-off': { status: 503, retry: 'backoff', title: 'The clock of the relay and ours differ', cure: 'Synchronise both machines with NTP (timedatectl set-ntp true).' },
  'stun-malformed': { status: 502, retry: 'backoff', title: 'The relay sent something that is no STUN message', cure: 'Check that the address is that of a TURN server.' },
  'stun-refused': { status: 502, retry: 'backoff', title: 'The relay refused a request', cure: 'See detail for the STUN error code.' },
  'stun-timeout': { status: 504, retry: 'backoff', title: 'The relay did not answer', cure: 'Check address, port and firewall.' },

  // Process
  'config-invalid': { status: 500, exit: 78, retry: 'never', title: 'The configuration is not valid', cure: 'Correct the variables named above.' },
  'node-too-old': { status: 500, exit: 69, retry: 'never', title: 'This version of Node.js is too old', cure: 'Use npm start, which brings its own, or Node.js 24 or newer.' },
  'file-unusable': { status: 503, exit: 73, retry: 'never', title: 'The file cannot be used', cure: 'Name a file that is not there yet, in a directory that can be written; for restore, one that turnpike backup has written.' },
  'not-deployable': { status: 503, exit: 69, retry: 'never', title: 'This machine has nothing to keep Turnpike running', cure: 'Install Docker with its compose plugin, or be root on a machine with systemd; npm start serves in front, without either.' },
  'deployment-missing': { status: 503, exit: 69, retry: 'never', title: 'There is no deployment here', cure: 'Make one: turnpike up.' },
  'deployment-failed': { status: 503, exit: 70, retry: 'never', title: 'A step of the deployment failed', cure: 'Mend what is named in reason, and run the command again: it goes on where it was.' },
  'upgrade-rolled-back': { status: 503, exit: 70, retry: 'never', title: 'The new version was not well, and the old one was put back', cure: 'Nothing now; look at what the new one said in the log, and try a later version.' },
  'rollback-failed': { status: 503, exit: 70, retry: 'never', title: 'The new version was not well, and the old one could not be put back whole', cure: 'Type the lines that the reason names: the backup that it names is the database as it was.' },
  'server-unreachable': { status: 503, exit: 69, retry: 'backoff', title: 'No Turnpike answers', cure: 'Start it (turnpike up, or turnpike serve), set TURNPIKE_DATA_DIR to its data directory, or name it: --url and TURNPIKE_ADMIN_KEY.' },
  'address-in-use': { status: 500, exit: 69, retry: 'never', title: 'The port is taken', cure: 'Stop the program that holds it, or set the variable named in detail.' },
  'data-dir-unwritable': { status: 503, exit: 73, retry: 'backoff', title: 'The data directory cannot be written', cure: 'Make it writable, free some space, or set TURNPIKE_DATA_DIR.' },
  'data-dir-locked': { status: 503, exit: 73, retry: 'backoff', title: 'Another Turnpike uses this data directory', cure: 'Stop the other one, or set TURNPIKE_DATA_DIR.' },
  'store-damaged': { status: 503, exit: 74, retry: 'never', title: 'The database is damaged or newer than this program', cure: 'Restore a backup, or run the version that wrote it.' },

  // Certificates by ACME
  'acme-name-elsewhere': { status: 503, retry: 'backoff', title: 'The name does not lead to this machine', cure: 'Set the record in DNS that is named in reason; it is looked at again every minute.' },
  'acme-challenge-failed': { status: 503, retry: 'backoff', title: 'The certificate authority did not see that the name is ours', cure: 'Let TCP port 80 in from everywhere, and see that every address of the name (AAAA too) is of this machine; for dns-01, that the hook ends only when the record is seen.' },
  'acme-refused': { status: 503, retry: 'backoff', title: 'The certificate authority refused the order', cure: 'See its words in reason: a CAA record that names another authority, a name that it does not take, an account that is closed.' },
  'acme-rate-limited': { status: 503, retry: 'backoff', title: 'The certificate authority wants to hear nothing for a while', cure: 'Nothing: it is asked again when it says. To try things out, set TURNPIKE_ACME_DIRECTORY=letsencrypt-staging.' },
  'acme-unreachable': { status: 503, retry: 'backoff', title: 'The certificate authority cannot be reached', cure: 'Let this machine out to the address in TURNPIKE_ACME_DIRECTORY; for an authority of your own, see TURNPIKE_ACME_CA_FILE.' },
  'acme-pending': { status: 503, retry: 'backoff', title: 'The certificate authority has not finished the order', cure: 'Nothing: it is ordered again, and an authority that has seen that the name is ours does not look again.' },
  'acme-not-understood': { status: 503, retry: 'backoff', title: 'The certificate authority answers something that ACME does not know', cure: 'See that TURNPIKE_ACME_DIRECTORY is the address of a directory of ACME (RFC 8555); what was wrong is in reason.' },
  'dns-unreachable': { status: 503, retry: 'backoff', title: 'DNS does not answer', cure: 'See that this machine reaches its resolver (/etc/resolv.conf), and that the name servers of the domain answer; it is looked at again every minute.' },
  'acme-hook-failed': { status: 503, retry: 'backoff', title: 'The program that sets records in DNS failed', cure: 'Run TURNPIKE_ACME_DNS_HOOK by hand as in docs/tls.md; what it said is in reason.' },

  // Rooms: joining
  'session-unknown': { status: 404, retry: 'never', title: 'There is no such session to resume', cure: 'Join with a room token; what was not acknowledged is lost.' },
  'dialect-off': { status: 403, retry: 'never', title: 'The project does not answer this signaling protocol', cure: 'Add it to the dialects of the project.' },
  'token-missing': { status: 401, retry: 'never', title: 'No room token was presented', cure: 'Offer the subprotocols turnpike.v1 and turnpike.token.<token>.' },
  'token-invalid': { status: 401, retry: 'never', title: 'The room token is not valid', cure: 'Ask your server for a new token.' },
  'token-expired': { status: 401, close: 4010, retry: 'never', title: 'The room token has expired', cure: 'Ask your server for a new token.' },
  'room-mismatch': { status: 403, retry: 'never', title: 'The token is for another room', cure: 'Join the room that the token names.' },
  'peer-mismatch': { status: 403, retry: 'never', title: 'The token is for another peer', cure: 'Join as the peer that the token names.' },
  'origin-not-allowed': { status: 403, retry: 'never', title: 'This web origin may not connect', cure: 'Add it to the origins of the project, or, for signaling, to TURNPIKE_HTTP_ALLOWED_ORIGINS; detail says to which.' },
  'peer-id-taken': { status: 409, retry: 'backoff', title: 'A peer with this id is in the room', cure: 'Use another peer id, or a token with takeover.' },
  'room-mode-conflict': { status: 409, retry: 'never', title: 'The room exists with another kind or capacity', cure: 'Name the kind and the capacity that the room has (see detail), or another room.' },
  'room-full': { status: 503, retry: 'backoff', title: 'The room is full', cure: 'Wait until somebody leaves, or raise the capacity.' },
  'too-many-sockets': { status: 429, retry: 'backoff', title: 'Too many sockets from this address', cure: 'Close some, or raise TURNPIKE_SIGNALING_SOCKETS_PER_ADDRESS.' },
  'too-many-watchers': { status: 429, retry: 'backoff', title: 'Too many watch topics of the project', cure: 'End some, or raise TURNPIKE_SIGNALING_WATCHERS_PER_PROJECT.' },
  'too-many-rooms': { status: 503, retry: 'backoff', title: 'The project has too many rooms', cure: 'Wait until rooms empty, or raise TURNPIKE_SIGNALING_ROOMS_PER_PROJECT.' },
  'too-many-peers': { status: 503, retry: 'backoff', title: 'The project has too many peers', cure: 'Wait until peers leave, or raise TURNPIKE_SIGNALING_PEERS_PER_PROJECT.' },

  // Rooms: frames
  'frame-not-json': { status: 400, close: 4008, retry: 'never', title: 'The frame is not a JSON object', cure: 'Send one JSON object in each text frame.' },
  'frame-binary': { status: 400, close: 4008, retry: 'never', title: 'Binary frames are not read', cure: 'Send text frames.' },
  'frame-invalid': { status: 400, retry: 'never', title: 'The frame has a wrong field', cure: 'Correct the field named in message.' },
  'frame-unknown': { status: 400, retry: 'never', title: 'The frame has an unknown type', cure: 'Use one of: signal, ack, update, leave.' },
  'frame-too-large': { status: 413, close: 1009, retry: 'never', title: 'The frame is too large', cure: 'Send less; the limit is in message.' },
  'metadata-too-large': { status: 413, retry: 'never', title: 'The metadata is too large', cure: 'Send less; the limit is in message.' },
  'peer-unavailable': { status: 404, retry: 'backoff', title: 'That peer is not in the room', cure: 'Wait for peer-joined, then send again.' },
  'signal-undelivered': { status: 410, retry: 'backoff', title: 'The peer was gone before it had acknowledged this', cure: 'Wait for peer-joined, then send again; the peer may have seen it.' },
  'dialect-mismatch': { status: 409, retry: 'never', title: 'The peer speaks another protocol, which has no words for this', cure: 'Send it {"description": …} or {"candidate": …}, which every dialect but PeerJS knows.' },
  'not-permitted': { status: 403, retry: 'never', title: 'The token does not permit this', cure: 'Ask for a token with the permission.' },
  'rate-limited': { status: 429, retry: 'backoff', title: 'Too many frames', cure: 'Send fewer frames a second; the frame named in ref was not delivered.' },
  flooding: { status: 429, close: 4129, retry: 'backoff', title: 'Frames came too fast for too long', cure: 'Wait, connect again, send fewer frames a second.' },
  'too-slow': { status: 503, close: 4108, retry: 'backoff', title: 'The socket did not read what was sent to it', cure: 'Connect again and read faster.' },
  unacknowledged: { status: 503, close: 4109, retry: 'backoff', title: 'Too much was sent to this peer that it did not acknowledge', cure: 'Join again, and acknowledge what you process.' },
  'server-full': { status: 503, close: 4100, retry: 'backoff', title: 'The memory for what waits to be delivered is used up', cure: 'Try again later, read faster, or raise TURNPIKE_SIGNALING_WAITING_BYTES.' },
  kicked: { status: 403, close: 4003, retry: 'never', title: 'The peer was sent out of the room', cure: 'Ask your server for a new token, if it still wants you in.' },
  'room-closed': { status: 410, close: 4004, retry: 'never', title: 'The room was closed', cure: 'Ask your server for a token of another room.' },
  draining: { status: 503, close: 4200, retry: 'now', title: 'The server is about to restart', cure: 'Connect again and resume.' },
  replaced: { status: 409, close: 4001, retry: 'never', title: 'A newer connection took this peer over', cure: 'Use the newer connection.' },
  'heartbeat-lost': { status: 408, close: 4100, retry: 'backoff', title: 'The socket did not answer pings', cure: 'Connect again.' },
} as const satisfies Record<string, ErrorEntry>

export type ErrorCode = keyof typeof ERRORS

/** One wrong field: where it is, what was wrong with it and what was expected. Never the value of a secret. */
export type FieldError = { field: string, message: string }

/** The one error class of Turnpike. Compare `code`, never the class or the text. */
export class TurnpikeError extends Error {
  readonly code: ErrorCode
  /** Wrong fields, where there are any. */
  readonly fields: readonly FieldError[]
  /** Seconds to wait before another try, where that is known. */
  readonly retryAfterSeconds: number | undefined

  constructor (code: ErrorCode, detail: string, more: { cause?: unknown, fields?: readonly FieldError[], retryAfterSeconds?: number } = {}) {
    super(detail, more.cause === undefined ? undefined : { cause: more.cause })
    this.name = 'TurnpikeError'
    this.code = code
    this.fields = more.fields ?? []
    this.retryAfterSeconds = more.retryAfterSeconds
  }
}

/** The table's entry for a code, with every optional field readable. */
export function errorEntry (code: ErrorCode): ErrorEntry {
  return ERRORS[code]
}

/** What a socket is closed with that an error ends. */
export function closeCodeOf (code: ErrorCode): number {
  const { close, retry } = errorEntry(code)
  return close ?? (retry === 'never' ? 4000 : 4100)
}

export function isTurnpikeError (error: unknown): error is TurnpikeError {
  return error instanceof TurnpikeError
}
