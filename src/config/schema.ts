/**
 * THE schema of settings: type, default, unit, text and secrecy of each, once.
 * The `Config` type, the TURNPIKE_* names, `turnpike config`, docs/configuration.md and compose/.env.example are made from it.
 * A setting's variable is its path in capitals: `relay.minPort` is TURNPIKE_RELAY_MIN_PORT.
 */
import Type, { type Static, type TString } from 'typebox'

/** A secret: masked wherever settings are shown, and readable from a file through <VARIABLE>_FILE. */
const Secret = (options: { minLength: number, description: string }): TString => Type.String({ ...options, secret: true })
const Port = (defaultPort: number, description: string) => Type.Integer({ minimum: 1, maximum: 65535, default: defaultPort, description })
const Count = (defaultCount: number, maximum: number, description: string) => Type.Integer({ minimum: 1, maximum, default: defaultCount, description })

export const ConfigSchema = Type.Object({
  dataDir: Type.String({ minLength: 1, default: './data', description: 'Directory of everything that is kept: database, secrets, relay files.' }),
  domain: Type.Optional(Type.String({ accepts: 'own-domain', description: 'The name that people reach this machine by. Where it is set, it stands in issued URLs, certificates for it are got and renewed by ACME, and HTTPS is served (docs/tls.md). localhost is as if it were not set: no name, no certificate.' })),
  publicHost: Type.Optional(Type.String({ minLength: 1, maxLength: 253, accepts: 'host', computed: 'TURNPIKE_DOMAIN, else found by itself', description: 'Host name (or IPv4 address) of this machine in issued URLs.' })),
  adminKey: Type.Optional(Secret({ minLength: 24, description: 'Fixed admin key. Made at the first start where it is not set.' })),
  apiKey: Type.Optional(Secret({ minLength: 24, description: 'Fixed API key of the project default. Made at the first start where it is not set.' })),
  callPage: Type.Union([Type.Literal('open'), Type.Literal('off')], { default: 'open', description: 'The call page at /call/<room>. open: everybody who can reach this server may call through its relay, within tight limits. off: no page.' }),

  http: Type.Object({
    host: Type.String({ minLength: 1, default: '0.0.0.0', description: 'Address that the API, signaling and the call page listen on.' }),
    port: Type.Integer({ minimum: 0, maximum: 65535, default: 8080, description: 'Port of the API, signaling and the call page; 0 takes a free one.' }),
    allowedOrigins: Type.Array(Type.String({ minLength: 1 }), { default: ['*'], description: 'Web origins that may open a signaling socket, separated by commas; * is every origin.' }),
    trustProxy: Type.Array(Type.String({ minLength: 1, accepts: 'network' }), { default: [], description: 'Addresses or CIDR ranges of reverse proxies whose X-Forwarded-For is believed, separated by commas.' }),
  }),

  https: Type.Object({
    host: Type.String({ minLength: 1, default: '0.0.0.0', description: 'Address that HTTPS and WSS listen on: the same API, signaling and call page, with the certificate of tls.cert or of ACME.' }),
    port: Type.Optional(Type.Integer({ minimum: 0, maximum: 65535, computed: '443 (8443 behind an edge) where there is a certificate for TURNPIKE_DOMAIN, else 0', description: 'Port of HTTPS and WSS; 0: none.' })),
    proxyProtocolFrom: Type.Array(Type.String({ minLength: 1, accepts: 'network' }), { default: [], description: 'Addresses or CIDR ranges of proxies that pass TLS on as it is: each of their connections to the port of HTTPS begins with a header of the PROXY protocol (v1 or v2), which names the client. Separated by commas.' }),
  }),

  acme: Type.Object({
    directory: Type.String({ accepts: 'directory', default: 'letsencrypt', description: 'The authority that certificates for TURNPIKE_DOMAIN are got from: letsencrypt, letsencrypt-staging (to try it out: browsers do not trust it), the https URL of the ACME directory of another one, or off. Not asked where tls.cert and tls.key are set.' }),
    email: Type.Optional(Type.String({ accepts: 'email', description: 'Address that the authority may write to.' })),
    caFile: Type.Optional(Type.String({ minLength: 1, description: 'File with the certificates (PEM) by which the authority itself is trusted over https, where it is an own one.' })),
    challenge: Type.Union([Type.Literal('http-01'), Type.Literal('dns-01')], { default: 'http-01', description: 'How it is shown that the name is ours. http-01: the authority asks port 80 of the name. dns-01: acme.dnsHook sets a record in DNS.' }),
    dnsHook: Type.Optional(Type.String({ minLength: 1, description: 'Program for dns-01, called with three arguments: add or remove, the name of the TXT record, its value. When add ends, the record must be seen by everybody; it has two minutes.' })),
    extraNames: Type.Optional(Type.Array(Type.String({ accepts: 'domain' }), { computed: 'turn.<domain>', description: 'More names that the certificate is to be for, separated by commas; none for no other. One that does not lead anywhere yet is left out. turn.<domain> is used in URLs of TURN over TLS as soon as the certificate is for it.' })),
    httpHost: Type.String({ minLength: 1, default: '0.0.0.0', description: 'Address that the questions of http-01 are answered on.' }),
    httpPort: Port(80, 'Port that the questions of http-01 are answered on; everything else there is sent to https. The authority always asks port 80 of the name: another port here needs something that passes it on.'),
    retrySeconds: Type.Integer({ minimum: 1, maximum: 3600, default: 60, description: 'Seconds after which an order that failed is tried again; then ever later, up to an hour.' }),
  }),

  edge: Type.Object({
    port: Type.Integer({ minimum: 0, maximum: 65535, default: 0, description: 'Port at which an edge takes HTTPS and TURN over TLS for us (docs/edge.md; the compose file has one at 443): it stands in URLs of both. 0: there is none.' }),
    agentPort: Port(9465, 'Port on loopback where the edge asks which coturn takes new connections. Used where edge.port is set.'),
  }),

  metrics: Type.Object({
    host: Type.String({ minLength: 1, default: '127.0.0.1', description: 'Address that /metrics listens on.' }),
    port: Type.Integer({ minimum: 0, maximum: 65535, default: 9464, description: 'Port of /metrics; 0 takes a free one.' }),
  }),

  relay: Type.Object({
    driver: Type.Union([Type.Literal('auto'), Type.Literal('docker'), Type.Literal('process'), Type.Literal('external')], { default: 'auto', description: 'What runs coturn: docker (a container), process (turnserver on PATH), external (not run by us, only probed), auto (docker where it answers and has or can pull the image, else process).' }),
    image: Type.String({ minLength: 1, default: 'coturn/coturn:4.18.0-r0', description: 'Image of coturn for the docker driver, with its exact tag.' }),
    memoryBytes: Type.Optional(Type.Integer({ minimum: 67_108_864, maximum: 1_099_511_627_776, computed: '256 MiB, and 1 MiB for each relay port; at most three quarters of the memory of the machine', description: 'Most memory that the container of coturn may use (driver docker): beyond it the kernel ends coturn, and it is started again.' })),
    listenIp: Type.Optional(Type.String({ accepts: 'ip', description: 'Address that coturn listens on and relays from. The address of the default route where it is not set.' })),
    externalIp: Type.Optional(Type.String({ accepts: 'ip', description: 'Public address of this machine where it differs from listenIp (1:1 NAT). Found by STUN where it is not set.' })),
    port: Port(3478, 'Port for STUN and TURN over UDP and TCP.'),
    tlsPort: Port(5349, 'Port for TURN over TLS; open only where there is a certificate.'),
    alternatePort: Port(3479, 'Port for STUN and TURN of a second coturn, beside the first, while one takes over from the other (an upgrade).'),
    alternateTlsPort: Port(5350, 'Its port for TURN over TLS.'),
    minPort: Type.Integer({ minimum: 1024, maximum: 65535, default: 49160, description: 'First UDP port of relayed traffic.' }),
    maxPort: Type.Optional(Type.Integer({ minimum: 1024, maximum: 65535, computed: 'computed from the machine', description: 'Last UDP port of relayed traffic. One allocation takes one port. Where it is not set: 1000 ports for each core, fewer where memory or open files do not suffice, 200 to 16384; `turnpike size` tells.' })),
    peers: Type.Union([Type.Literal('internet'), Type.Literal('lan'), Type.Literal('loopback')], { default: 'internet', description: 'Which peer addresses may be relayed to. internet: public ones. lan: private ranges too. loopback: loopback too, for tests on one machine.' }),
    listenIp6: Type.Optional(Type.String({ accepts: 'ip6', description: 'IPv6 address that coturn listens on and relays from too. None where it is not set.' })),
    externalIp6: Type.Optional(Type.String({ accepts: 'ip6', description: 'Public IPv6 address where it differs from listenIp6.' })),
    region: Type.String({ accepts: 'name', default: 'default', description: 'Region of this relay: what clients may ask for.' }),
    weight: Count(1, 1000, 'Share of this relay where there are several: one with 2 is given twice as many clients as one with 1.'),
    sessionBytesPerSecond: Type.Integer({ minimum: 0, maximum: 4_294_967_295, default: 0, description: 'Most bytes per second of one allocation, each way; coturn drops what is beyond. 0: no limit.' }),
    capacityBytesPerSecond: Type.Integer({ minimum: 0, maximum: 1_000_000_000_000, default: 0, description: 'What the link of this machine carries, in bytes per second, both ways together: for alerts, `turnpike size`, and the choice between several relays. 0: not known.' }),
    secret: Type.Optional(Secret({ minLength: 16, description: 'static-auth-secret of a relay that is run elsewhere (driver external). Made by us for the other drivers.' })),
    stunServers: Type.Array(Type.String({ minLength: 1, accepts: 'host-port' }), { default: ['stun.l.google.com:19302', 'stun.cloudflare.com:3478'], description: 'STUN servers that are asked for our public address, separated by commas; none asks nobody.' }),
    userQuota: Count(24, 10_000, 'Live allocations of one user at a time. One call commonly makes 2 to 6.'),
    probeSeconds: Type.Integer({ minimum: 1, maximum: 3600, default: 10, description: 'Seconds between two probes of a relay that is healthy.' }),
    addressCheckSeconds: Type.Integer({ minimum: 0, maximum: 86_400, default: 300, description: 'Seconds between two looks at our public address; one that has changed is taken over by an upgrade. 0: never.' }),
    handOverSeconds: Type.Integer({ minimum: 0, maximum: 3600, default: 30, description: 'Seconds in which a coturn that is replaced still takes new allocations: clients that were just given its URLs need them.' }),
    drainSeconds: Type.Integer({ minimum: 0, maximum: 604_800, default: 3600, description: 'Seconds that calls are given to end where a coturn is drained or replaced; what is left then is cut.' }),
    onStop: Type.Union([Type.Literal('end'), Type.Literal('keep')], { default: 'end', description: 'What becomes of coturn when Turnpike is stopped in good order. end: it ends too. keep: it goes on relaying and the next start takes it over.' }),
  }),

  tls: Type.Object({
    cert: Type.Optional(Type.String({ minLength: 1, description: 'File with the certificate chain (PEM) for HTTPS and TURN over TLS, where it is not got by ACME.' })),
    key: Type.Optional(Type.String({ minLength: 1, description: 'File with the private key (PEM) that belongs to tls.cert.' })),
    checkSeconds: Type.Integer({ minimum: 1, maximum: 86_400, default: 30, description: 'Seconds between two looks at the files; a new certificate is served without a restart.' }),
    dtls: Type.Union([Type.Literal('off'), Type.Literal('on')], { default: 'off', description: 'TURN over DTLS at tlsPort over UDP. No browser uses it, and it is one more thing that strangers can reach.' }),
  }),

  usage: Type.Object({
    detailDays: Type.Integer({ minimum: 1, maximum: 3650, default: 92, description: 'Days for which usage is kept by user and room; older days are added up by project, relay and transport.' }),
    keepDays: Type.Integer({ minimum: 1, maximum: 36_500, default: 1096, description: 'Days after which usage is deleted.' }),
  }),

  credentials: Type.Object({
    ttlSeconds: Type.Integer({ minimum: 1, maximum: 86_400, default: 3600, description: 'Lifetime in seconds of a TURN credential where the request names none.' }),
    minTtlSeconds: Type.Integer({ minimum: 1, maximum: 86_400, default: 60, description: 'Shortest lifetime in seconds that may be asked for.' }),
    maxTtlSeconds: Type.Integer({ minimum: 1, maximum: 31_536_000, default: 86_400, description: 'Longest lifetime in seconds that may be asked for.' }),
  }),

  signaling: Type.Object({
    messageBytes: Count(65_536, 1_048_576, 'Longest frame in bytes that a peer may send.'),
    metadataBytes: Count(2048, 65_536, 'Most bytes of JSON metadata of a peer.'),
    roomCapacity: Count(50, 1000, 'Most peers in a room where its token names no capacity.'),
    signalsPerSecond: Count(50, 100_000, 'Frames that a peer may send each second, lastingly; one counts once more for each 8 KiB.'),
    signalsBurst: Count(200, 1_000_000, 'Frames that a peer may send at once.'),
    outboxBytes: Count(1_048_576, 67_108_864, 'Bytes that may wait for a peer that reads slowly before its socket is closed.'),
    unackedBytes: Count(2_097_152, 67_108_864, 'Bytes that are kept for a peer until it has acknowledged them, its socket there or lost, before its session is ended.'),
    unackedFrames: Count(4096, 1_000_000, 'Frames that are kept for a peer until it has acknowledged them.'),
    waitingBytes: Count(268_435_456, 17_179_869_184, 'Bytes that may wait for all peers together: when they are used up, sessions for which most waits are ended first.'),
    graceSeconds: Type.Integer({ minimum: 0, maximum: 3600, default: 30, description: 'Seconds in which a peer whose socket is lost keeps its place, and can go on where it was.' }),
    mailboxSeconds: Type.Integer({ minimum: 0, maximum: 300, default: 5, description: 'Seconds in which a signal waits for a peer that is not there yet.' }),
    mailboxMessages: Count(64, 10_000, 'Signals that may wait for one absent peer.'),
    mailboxBytes: Count(262_144, 16_777_216, 'Bytes of signals that may wait for one absent peer.'),
    topicCapacity: Count(1000, 10_000, 'Most peers in a room of kind topic where its token names no capacity.'),
    roomsPerProject: Count(10_000, 1_000_000, 'Rooms that a project may have at a time.'),
    peersPerProject: Count(50_000, 1_000_000, 'Peers that a project may have at a time.'),
    watchersPerProject: Count(500, 100_000, 'Streams that may watch topics of a project at a time.'),
    socketsPerAddress: Count(10_000, 1_000_000, 'Signaling sockets that one client address may hold at a time.'),
    heartbeatSeconds: Type.Integer({ minimum: 1, maximum: 300, default: 10, description: 'Seconds between two pings; a socket that answers neither of two is closed.' }),
  }),

  grpc: Type.Object({
    host: Type.String({ minLength: 1, default: '127.0.0.1', description: 'Address that signaling over gRPC listens on. It is encrypted where there is a certificate (tls.cert, or by ACME); without one leave it on loopback, behind a proxy that encrypts.' }),
    port: Type.Integer({ minimum: 0, maximum: 65535, default: 0, description: 'Port of signaling over gRPC; 0: none. A project must have the dialect grpc, too.' }),
  }),

  guard: Type.Object({
    images: Type.Array(Type.String({ minLength: 1 }), { default: [], description: 'Images that the Docker guard lets coturn be run from beside relay.image, separated by commas: what an upgrade to another image needs.' }),
  }),

  secrets: Type.Object({
    turnRotateDays: Type.Integer({ minimum: 0, maximum: 3650, default: 30, description: 'Days after which the TURN secret is replaced by itself; no call notices. 0: only when asked.' }),
  }),

  limits: Type.Object({
    requestsPerMinutePerAddress: Count(6000, 100_000_000, 'Requests that one client address may send in a minute.'),
    requestsPerMinutePerKey: Count(60_000, 100_000_000, 'Requests that one key may send in a minute.'),
    publishablePerMinutePerAddress: Count(10, 100_000, 'Credentials that a publishable key issues to one client address in a minute.'),
  }),

  log: Type.Object({
    level: Type.Union([Type.Literal('debug'), Type.Literal('info'), Type.Literal('warn'), Type.Literal('error'), Type.Literal('silent')], { default: 'info', description: 'Least level that is logged.' }),
  }),
})

/** The settings, resolved: every default filled in, frozen. Seconds, bytes and ports are integers. */
export type Config = Static<typeof ConfigSchema> & {
  relay: { maxPort: number }
  https: { port: number, /** Where others reach it: the same, or the port of the edge before it. */ publicPort: number }
  /** Where the certificate is from: files that somebody else puts there, or that are got by ACME for these names, the domain first. */
  certificate: Readonly<{ files: Readonly<{ cert: string, key: string }> | null, acme: Readonly<{ directory: string, names: readonly string[] }> | null }>
  /** Projects that the settings file declares, by id: changes to the defaults, each checked (protocol/project-settings.ts). */
  projects: Readonly<Record<string, unknown>>
  /** More relays that the settings file declares, by id: what of `relay` is different for each, and its host. */
  relays: Readonly<Record<string, RelayDifferences>>
}
export type RelayDifferences = Partial<Static<typeof ConfigSchema>['relay']> & { host?: string }
