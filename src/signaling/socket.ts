/** What signaling has to do with one connection, whatever it is made of. */

/** A socket as signaling sees it; http/ws-socket.ts makes one out of a WebSocket. */
export type Socket = {
  /** Sends one text frame, after those that were sent before. One that is not urgent may wait for others that come at the same time. */
  send (text: string, isUrgent: boolean): void
  /** Begins the closing handshake (RFC 6455 §7.1.2). */
  close (code: number, reason: string): void
  /** Ends the connection at once. */
  terminate (): void
  ping (): void
  /** Bytes that were sent and are not with the kernel yet. */
  bufferedBytes (): number
}
