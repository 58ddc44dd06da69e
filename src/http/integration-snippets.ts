/** What to paste into programs that mint TURN credentials by themselves: their own settings, with our addresses and their secret. */

/** By the name of the program. `urls`: what clients are given now. */
export function snippetsOf (secret: string, urls: readonly string[]): Record<string, string> {
  const turn = urls.filter(url => url.startsWith('turn'))
  const [, scheme = 'turn', host = 'turn.example', port = '3478'] = /^(\w+):(.+?):(\d+)/.exec(turn[0] ?? '') ?? []
  return {
    synapse: `# homeserver.yaml\nturn_uris: ${JSON.stringify(turn)}\nturn_shared_secret: "${secret}"\nturn_user_lifetime: 86400000\nturn_allow_guests: false\n`,
    nextcloudTalk: `occ talk:turn:add turn "${host}:${port}" udp,tcp --secret="${secret}"\n`,
    prosody: `-- prosody.cfg.lua\nmodules_enabled = { "turn_external" }\nturn_external_host = "${host}"\nturn_external_port = ${port}\nturn_external_secret = "${secret}"\n`,
    mediamtx: `# mediamtx.yml\nwebrtcICEServers2:\n${turn.map(url => `  - url: ${url}\n    username: AUTH_SECRET\n    password: ${secret}\n`).join('')}`,
    galene: `${JSON.stringify([{ urls: turn, username: 'galene', credential: secret, credentialType: 'hmac-sha1' }], null, 2)}\n`,
    coturnStyle: `user name: <unix seconds of its end>:<id>\npassword:  base64(HMAC-SHA-1("${secret}", user name))\nserver:    ${scheme}:${host}:${port}\n`,
  }
}
