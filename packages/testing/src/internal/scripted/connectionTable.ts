/**
 * The connections of a scripted broker: the open ones, the recent ones, and how many were accepted. It opens and closes
 * no stream. `hub.ts` calls it.
 */
import type { ByteStream } from "@effect-mqttx/core/Transport"
import type { ConnectionRecord } from "../../PacketRecord.ts"
import type { BrokerCore } from "../broker/contract.ts"
import { HubConnection } from "./connection.ts"

const everything = 268_435_460
const keptConnections = 1000

export class ConnectionTable {
  readonly #live = new Map<number, HubConnection>()
  #all: Array<HubConnection> = []
  #last = 0
  readonly #accepted = new Map<string, number>()

  /** The connections so far; without a record of packets only the latest. */
  get all(): ReadonlyArray<HubConnection> {
    return this.#all
  }

  /** The open connections. */
  get live(): Iterable<HubConnection> {
    return this.#live.values()
  }

  /** The number of the connection that was opened last. */
  get last(): number {
    return this.#last
  }

  get(id: number): HubConnection | undefined {
    return this.#live.get(id)
  }

  /** The open connection of a client, or the one with this number. */
  find(target: string | number, core: BrokerCore | undefined): HubConnection | undefined {
    if (typeof target === "number") return this.#live.get(target)
    const connection = core?.session(target)?.connection
    if (connection !== undefined) return this.#live.get(connection)
    // The client may have no session (before CONNACK, or closed by the core alone): then the newest connection that
    // used the name.
    let newest: HubConnection | undefined
    for (const candidate of this.#live.values()) {
      if (candidate.clientId === target) newest = candidate
    }
    return newest
  }

  open(
    stream: ByteStream,
    network: ConnectionRecord["network"],
    core: BrokerCore,
    now: number,
    keepsAll: boolean
  ): HubConnection {
    const id = ++this.#last
    const connection = new HubConnection(id, stream, network, core.limits.maximumPacketSize ?? everything, now)
    this.#live.set(id, connection)
    this.#all.push(connection)
    if (this.#all.length > keptConnections * 2 && !keepsAll) this.#all = this.#all.slice(-keptConnections)
    return connection
  }

  /** An accepting CONNACK was sent. */
  accept({ clientId }: HubConnection): void {
    this.#accepted.set(clientId, this.accepted(clientId) + 1)
  }

  /** The number of accepted connections, of one client or of all. */
  accepted(clientId?: string): number {
    if (clientId !== undefined) return this.#accepted.get(clientId) ?? 0
    let total = 0
    for (const count of this.#accepted.values()) total += count
    return total
  }

  close(connection: HubConnection, by: ConnectionRecord["closedBy"], now: number): void {
    connection.closed = true
    connection.closedAt = now
    connection.closedBy = by
    connection.inQueue = []
    connection.outQueue = []
    connection.held = []
    this.#live.delete(connection.id)
  }
}
