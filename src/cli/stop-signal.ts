/** How a process that stays is told to end. */

/** The first SIGINT, SIGTERM or SIGHUP. Later ones change nothing: stopping has a deadline already. */
export function stopSignal (): Promise<string> {
  return new Promise(resolve => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve(signal))
  })
}
