/** What a browser tells of its network and its page. Node.js tells nothing of it. */

export type PageNeeds = {
  /** The network is back, or is another one. */
  onMoved (): void
  /** The page ran again after it was suspended. */
  onAwake (): void
  /** The page goes for good. */
  onGone (): void
}
type NetworkInformation = EventTarget & { type?: string }

/** Begins to listen; returns how to stop. */
export function watchPage ({ onMoved, onAwake, onGone }: PageNeeds): () => void {
  if (typeof window === 'undefined' || typeof document === 'undefined') return () => {}
  const listening = new AbortController()
  const { signal } = listening
  addEventListener('online', onMoved, { signal })
  // A page that is kept (bfcache) may come back; one that is not has left.
  addEventListener('pagehide', ({ persisted }) => { if (!persisted) onGone() }, { signal })
  addEventListener('pageshow', ({ persisted }) => { if (persisted) onMoved() }, { signal })
  document.addEventListener('resume', onAwake, { signal })
  // It tells of estimates too; only another kind of network is another one.
  const { connection } = navigator as Navigator & { connection?: NetworkInformation }
  let type = connection?.type
  connection?.addEventListener('change', () => {
    if (connection.type !== type && connection.type !== 'none') onMoved()
    type = connection.type
  }, { signal })
  return () => listening.abort()
}
