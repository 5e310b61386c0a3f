/**
 * The bytes that a scripted broker sends: encoded packets wait until the end of the work at hand, and then leave in one
 * write for each connection. It decides nothing about packets. `hub.ts` calls it.
 */
import type { Packet } from "@effect-mqttx/core/Packet"
import type { HubConnection } from "./connection.ts"

export class Writes {
  readonly #maximumPendingBytes: number
  readonly #onCongested: (connection: HubConnection) => void
  #unwritten: Array<HubConnection> = []
  bytesSent = 0

  /** More than `maximumPendingBytes` that wait for one client congest its connection. */
  constructor(maximumPendingBytes: number, onCongested: (connection: HubConnection) => void) {
    this.#maximumPendingBytes = maximumPendingBytes
    this.#onCongested = onCongested
  }

  encode(connection: HubConnection, packet: Packet): void {
    connection.encode(packet)
    if (connection.unwritten) return
    connection.unwritten = true
    this.#unwritten.push(connection)
  }

  /** Passes the encoded bytes of a connection to the network. */
  flush(connection: HubConnection): void {
    connection.unwritten = false
    for (const chunk of connection.takeBytes()) this.write(connection, chunk)
  }

  flushAll(): void {
    if (this.#unwritten.length === 0) return
    const unwritten = this.#unwritten
    this.#unwritten = []
    for (const connection of unwritten) {
      if (connection.unwritten && !connection.closed) this.flush(connection)
    }
  }

  write(connection: HubConnection, bytes: Uint8Array): void {
    connection.bytesSent += bytes.length
    this.bytesSent += bytes.length
    if (connection.stream.write(bytes) !== "congested" || connection.congested) return
    if (connection.stream.pendingBytes() < this.#maximumPendingBytes) return
    connection.congested = true
    this.#onCongested(connection)
  }

  clear(): void {
    this.#unwritten = []
  }
}
