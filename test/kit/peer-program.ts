/** A program for a namespace that is not the test's: a peer that does all that clients should, and prints a line for whatever becomes of it. */
import { ResumingPeer } from './resuming-peer.ts'

export type Told = { is: 'in', resumed: boolean, others: string[] } | { is: 'over', why: string }

const [url = '', token = ''] = process.argv.slice(2)
const tell = (told: Told): void => { process.stdout.write(`${JSON.stringify(told)}\n`) }
const peer = new ResumingPeer({
  url: () => url,
  token,
  rejoins: process.argv[4] === 'rejoins',
  comeBackAfterMs: () => 200,
  onFrame: frame => {
    if (frame.type !== 'welcome') return
    tell({ is: 'in', resumed: frame.resumed, others: [...peer.view.keys()] })
  },
  onOver: over => tell({ is: 'over', why: JSON.stringify(over) }),
})
