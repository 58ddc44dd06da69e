/** coturn's command line in a process of its own, with sessions that there are not: `command-line.ts <sessions> <projects>`. Prints its port; what each session has relayed grows with each `ps`. */
import { createServer } from 'node:net'

const [sessions = '', projects = ''] = process.argv.slice(2)
const expiry = Math.floor(Date.now() / 1000) + 86_400
let asked = 0

/** One session as coturn 4.6.1 prints it (turn_admin_server.c print_session). */
function printed (number: number): string {
  const packets = 1000 * asked + number % 1000
  const port = 1024 + number % 60_000
  return [
    '',
    `    ${number}) id=${String(1e15 + number).padStart(18, '0')}, user <${expiry}:bench-${number % Number(projects)}.user-${number}.0>:`,
    '      realm: turnpike',
    `      started ${60 * asked} secs ago`,
    '      expiring in 540 secs',
    '      client protocol UDP, relay protocol UDP',
    `      client addr 127.0.0.1:${port}, server addr 127.0.0.1:3478`,
    `      relay addr 127.0.0.1:${port}`,
    '      fingerprints enforced: ON',
    '      mobile: OFF',
    `      usage: rp=${packets}, rb=${packets * 172}, sp=${packets}, sb=${packets * 172}`,
    '       rate: r=3440, s=3440, total=6880 (bytes per sec)',
    '      peers:',
    `          127.0.0.1:${port + 1}`,
    '',
  ].join('\r\n')
}

const server = createServer(socket => {
  socket.write('TurnServer\r\nCoturn-4.6.1 \'Gorst\'\r\n\r\nType \'?\' for help\r\nEnter password: ')
  let isKnown = false
  socket.on('error', () => {})
  socket.on('data', () => {
    if (!isKnown) {
      isKnown = true
      socket.write('\r\n> ')
      return
    }
    asked++
    socket.write(`${Array.from({ length: Number(sessions) }, (_, i) => printed(i + 1)).join('')}\r\n  Total sessions: ${sessions}\r\n\r\n> `)
  })
})
server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as { port: number }).port}\n`))
process.stdin.on('end', () => process.exit(0)).resume()
