/**
 * The connection that a session has now, or is opening, and the bytes of all its connections. It opens and closes none.
 * `engineLoop.ts` changes it, and `outputs.ts` sends on it.
 */
import type { Connection, ConnectionCounters } from "../connection/contract.ts"

export class CurrentConnection {
  connection: Connection | undefined = undefined
  /** Counts connections. An output that was taken for one connection is never written to another. */
  epoch = 0
  /** An attempt is under way. */
  isOpening = false
  /** The network got bytes of the previous connection or attempt. */
  hasSent = false
  /** The connection failed to send, and its end has not been reported yet. */
  isBroken = false
  /** When the connection was there, on the monotonic clock, and how long those before it were. */
  #since = 0
  #connected = 0
  #bytesSent = 0
  #bytesReceived = 0
  #receivedAtFlush = 0
  /** Of the current connection, until `gone`. */
  #counters: ConnectionCounters | undefined

  opening(): void {
    this.isOpening = true
    this.hasSent = false
  }

  attach(connection: Connection, now: number): void {
    this.#since = now
    this.isOpening = false
    this.connection = connection
    this.#counters = connection.counters
  }

  detach(now: number): void {
    this.#connected = this.connectedFor(now)
    this.isOpening = false
    this.isBroken = false
    this.connection = undefined
    this.epoch++
  }

  /** Milliseconds for which there was a connection, all of them together. */
  connectedFor(now: number): number {
    return this.#connected + (this.connection === undefined ? 0 : now - this.#since)
  }

  /** The network of a connection, or of an attempt, is closed. */
  gone({ bytesReceived, bytesSent }: ConnectionCounters): void {
    this.#counters = undefined
    this.hasSent = bytesSent > 0
    this.#bytesSent += bytesSent
    this.#bytesReceived += bytesReceived
  }

  get bytesSent(): number {
    return this.#bytesSent + (this.#counters?.bytesSent ?? 0)
  }

  get bytesReceived(): number {
    return this.#bytesReceived + (this.#counters?.bytesReceived ?? 0)
  }

  /** Bytes received since the last flush. */
  get unflushed(): number {
    return this.bytesReceived - this.#receivedAtFlush
  }

  flushed(): void {
    this.#receivedAtFlush = this.bytesReceived
  }
}
