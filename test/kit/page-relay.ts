/** What a page of a site gets of its API, of a relay and of signaling, with no client of ours in between. */
import type { Page } from 'playwright-core'

export type IceServers = { urls: string[], username?: string, credential?: string }[]

/** ICE servers of a credential from the site that the page is of. Throws what was answered where it is refused. */
export async function issueIn (page: Page, key: string): Promise<IceServers> {
  const { status, body } = await page.evaluate(async key => {
    const answer = await fetch('/v1/turn/credentials', { method: 'POST', headers: { authorization: `Bearer ${key}` } })
    return { status: answer.status, body: await answer.json() as { iceServers: IceServers } }
  }, key)
  if (status !== 201) throw new Error(`${status} ${JSON.stringify(body)}`)
  return body.iceServers
}

/** Two peers in a room, with a signal for the other and one for nobody; both go. */
export async function visitRoomIn (page: Page, key: string): Promise<void> {
  await page.evaluate(async key => {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    const sockets = await Promise.all(['a', 'b'].map(async peer => {
      const { token, url } = await (await fetch('/v1/rooms/r/tokens', { method: 'POST', headers, body: JSON.stringify({ peer: `${peer}${performance.now()}` }) })).json() as { token: string, url: string }
      const socket = new WebSocket(url, ['turnpike.v1', `turnpike.token.${token}`])
      await new Promise(resolve => socket.addEventListener('message', resolve, { once: true }))
      return socket
    }))
    sockets[0]?.send('{"type":"signal","to":"*","data":1}')
    sockets[0]?.send('{"type":"signal","to":"nobody","data":1}')
    await new Promise(resolve => sockets[1]?.addEventListener('message', resolve, { once: true }))
    for (const socket of sockets) socket.close()
  }, key)
}

/** A call of the page with itself through the relay alone. Resolves to how much came of 20,000 bytes, or to what the relay said where it gave nothing. */
export async function relayedBytes (page: Page, iceServers: IceServers): Promise<number | string> {
  return await page.evaluate(async iceServers => {
    const [one, other] = [0, 1].map(() => new RTCPeerConnection({ iceServers, iceTransportPolicy: 'relay' })) as [RTCPeerConnection, RTCPeerConnection]
    const errors = new Set<number>()
    /** With all of its candidates. */
    const described = async (pc: RTCPeerConnection): Promise<RTCSessionDescription> => {
      const gathered = new Promise<void>(resolve => { pc.onicegatheringstatechange = () => { if (pc.iceGatheringState === 'complete') resolve() } })
      // 701 is not the relay's word: an address of the name was not reached, or it has none of that family.
      pc.onicecandidateerror = ({ errorCode }) => { if (errorCode !== 701) errors.add(errorCode) }
      await pc.setLocalDescription()
      await gathered
      return pc.localDescription as RTCSessionDescription
    }
    try {
      const channel = one.createDataChannel('bytes')
      channel.onopen = () => { for (let i = 0; i < 20; i++) channel.send(new Uint8Array(1000)) }
      const whole = new Promise<number>(resolve => {
        let received = 0
        other.ondatachannel = event => {
          event.channel.binaryType = 'arraybuffer'
          event.channel.onmessage = ({ data }: MessageEvent<ArrayBuffer>) => {
            received += data.byteLength
            if (received === 20_000) resolve(received)
          }
        }
      })
      const offer = await described(one)
      if (!offer.sdp.includes('typ relay')) return `refused: ${[...errors].join()}`
      await other.setRemoteDescription(offer)
      await one.setRemoteDescription(await described(other))
      const late = new Promise<string>(resolve => { setTimeout(() => resolve(`connections are ${one.connectionState} and ${other.connectionState}`), 20_000) })
      return await Promise.race([whole, late])
    } finally {
      one.close()
      other.close()
    }
  }, iceServers)
}
