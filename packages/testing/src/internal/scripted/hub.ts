/**
 * The scripted broker without Effect: the pure core connected to byte streams, with faults and a record in between.
 *
 * Every entry point does its work and then calls `settle`: it carries out the core's outputs, with one write for each
 * connection, and notifies waiters.
 */
import * as Codec from "@effect-mqttx/core/Codec"
import type { Packet } from "@effect-mqttx/core/Packet"
import type { ByteStream, ByteStreamHandlers } from "@effect-mqttx/core/Transport"
import * as Duration from "effect/Duration"
import type { ConnectionRecord, Direction } from "../../PacketRecord.ts"
import type { BrokerCore, BrokerCoreOptions, BrokerLimits, ConnectionOutput } from "../broker/contract.ts"
import { makeBrokerCore } from "../broker/core.ts"
import { Alarms } from "./alarms.ts"
import { HubConnection } from "./connection.ts"
import type { Cutter } from "./cutter.ts"
import type { Fault, FaultAction, ReleaseOrder } from "./fault.ts"
import { actOnReceived, actOnSent, type PacketPath } from "./faultActions.ts"
import { type ActiveFault, type FaultTable, makeFaultTable } from "./faultTable.ts"
import type { SeededRandom } from "./random.ts"
import type { Recorder } from "./recorder.ts"
import { Waiters } from "./waiters.ts"

const everything = 268_435_460
const keptConnections = 1000

export interface HubOptions {
  readonly core: BrokerCoreOptions
  readonly now: () => number
  readonly random: SeededRandom
  readonly recorder: Recorder
  /** Bytes that may wait for one client before QoS 0 messages to it are dropped. */
  readonly maximumPendingBytes: number
  /** The next deadline is earlier than before. */
  readonly onDeadline: () => void
}

const isWithhold = (action: FaultAction): boolean => action._tag === "Withhold"
const isNotWithhold = (action: FaultAction): boolean => action._tag !== "Withhold"
const isAny = (): boolean => true

export class Hub implements PacketPath {
  readonly options: HubOptions
  readonly random: SeededRandom
  readonly faults: FaultTable
  cutter: Cutter | undefined = undefined
  core: BrokerCore | undefined
  readonly #live = new Map<number, HubConnection>()
  #connections: Array<HubConnection> = []
  #lastConnection = 0
  readonly #accepted = new Map<string, number>()
  #unwritten: Array<HubConnection> = []
  readonly #alarms = new Alarms()
  readonly waiters = new Waiters()
  #heldBy = new WeakMap<Packet, ActiveFault>()
  #full: Array<{ readonly connection: number; readonly by: ActiveFault }> = []
  #settling = false
  #armed = Infinity
  #limits: Partial<BrokerLimits>
  #sequence = 0
  bytesReceived = 0
  bytesSent = 0

  constructor(options: HubOptions) {
    this.options = options
    this.random = options.random
    this.#limits = options.core.limits ?? {}
    this.faults = makeFaultTable(options.random)
    this.core = this.#makeCore()
  }

  #makeCore(): BrokerCore {
    return makeBrokerCore({
      ...this.options.core,
      limits: this.#limits,
      // Message numbers continue after a crash, so that logs of both lives can be distinguished.
      firstSequence: this.#sequence + 1,
      onPublished: (message) => {
        this.#sequence = message.sequence
        this.options.core.onPublished?.(message)
      },
      holdAcknowledgement: (client, packet) => {
        if (this.faults.isEmpty()) return false
        const by = this.faults.find("sent", client.connection, client.clientId, packet, isWithhold)
        if (by === undefined) return false
        this.#heldBy.set(packet, by)
        this.#countHeld(by, client.connection)
        return true
      }
    }, this.options.now())
  }

  #countHeld(by: ActiveFault, connection: number): void {
    by.held++
    const { action } = by.fault
    if (action._tag === "Withhold" && by.held >= action.count) {
      by.held = 0
      this.#full.push({ connection, by })
    }
  }

  /** The number of accepted connections, of one client or of all. */
  accepted(clientId?: string): number {
    if (clientId !== undefined) return this.#accepted.get(clientId) ?? 0
    let total = 0
    for (const count of this.#accepted.values()) total += count
    return total
  }

  get connections(): ReadonlyArray<HubConnection> {
    return this.#connections
  }

  /** The open connection of a client, or the one with this number. */
  find(target: string | number): HubConnection | undefined {
    if (typeof target === "number") return this.#live.get(target)
    const connection = this.core?.session(target)?.connection
    if (connection !== undefined) return this.#live.get(connection)
    // The client may have no session (before CONNACK, or closed by the core alone): then the newest connection that
    // used the name.
    let newest: HubConnection | undefined
    for (const candidate of this.#live.values()) {
      if (candidate.clientId === target) newest = candidate
    }
    return newest
  }

  /** Undefined while the broker does not run. */
  accept(stream: ByteStream, network: ConnectionRecord["network"]): ByteStreamHandlers | undefined {
    const { core } = this
    if (core === undefined) return undefined
    const now = this.options.now()
    const id = ++this.#lastConnection
    const size = core.limits.maximumPacketSize ?? everything
    const connection = new HubConnection(id, stream, network, size, now)
    this.#live.set(id, connection)
    this.#connections.push(connection)
    if (this.#connections.length > keptConnections * 2 && !this.options.recorder.enabled) {
      this.#connections = this.#connections.slice(-keptConnections)
    }
    core.connectionOpened(id, now)
    return {
      onData: (bytes) => this.#onData(connection, bytes),
      onDrain: () => this.#onDrain(connection),
      onClose: () => this.#onClose(connection)
    }
  }

  #onData(connection: HubConnection, bytes: Uint8Array): void {
    connection.bytesReceived += bytes.length
    this.bytesReceived += bytes.length
    if (connection.closed || connection.ending || connection.silent) return
    const packets: Array<Packet> = []
    const violation = connection.decoder.push(bytes, packets)
    // Counted before any of them is answered, because the client had sent them all before the first acknowledgement.
    for (const packet of packets) connection.account("received", packet)
    if (this.#isPlain(connection)) this.core?.receive(connection.id, packets, this.options.now())
    else {
      for (const packet of packets) {
        if (connection.delayedIn) connection.inQueue.push(packet)
        else this.receive(connection, packet)
        this.carryOut()
      }
    }
    if (violation !== undefined && !connection.closed && !connection.silent) {
      this.core?.malformed(connection.id, violation, this.options.now())
    }
    this.settle()
  }

  #onDrain(connection: HubConnection): void {
    if (!connection.congested || connection.closed) return
    connection.congested = false
    this.core?.setWritable(connection.id, true, this.options.now())
    this.settle()
  }

  #onClose(connection: HubConnection): void {
    if (connection.closed) return
    this.#markClosed(connection, "client")
    this.core?.connectionClosed(connection.id, this.options.now())
    this.settle()
  }

  /** Whether no fault, waiter or record examines single packets of this connection. */
  #isPlain(connection: HubConnection): boolean {
    return this.cutter === undefined && this.faults.isEmpty() && !this.options.recorder.isNeeded() &&
      !connection.delayedIn && !connection.delayedOut
  }

  receive(connection: HubConnection, packet: Packet): void {
    if (connection.closed || connection.silent) return
    const active = this.faults.isEmpty()
      ? undefined
      : this.faults.find("received", connection.id, connection.clientId, packet, isNotWithhold)
    const action = active?.fault.action ?? this.cutter?.onPacket(connection, "received", packet)
    this.record("received", connection, packet, action)
    if (action === undefined) this.process(connection, [packet])
    else actOnReceived(this, connection, packet, action)
  }

  process(connection: HubConnection, packets: ReadonlyArray<Packet>): void {
    this.core?.receive(connection.id, packets, this.options.now())
  }

  #output(output: ConnectionOutput): void {
    const connection = this.#live.get(output.connection)
    if (connection === undefined || connection.closed || connection.silent) return
    if (this.#isPlain(connection)) {
      for (const packet of output.packets) this.#write(connection, packet)
    } else {
      for (const packet of output.packets) {
        if (connection.delayedOut) connection.outQueue.push(packet)
        else this.send(connection, packet)
        if (connection.closed) return
      }
    }
    if (output.close) {
      connection.ending = true
      this.endWhenDone(connection)
    }
  }

  endWhenDone(connection: HubConnection): void {
    if (!connection.ending || connection.delayedOut || connection.closed) return
    this.flush(connection)
    this.#markClosed(connection, "broker")
    connection.stream.end()
  }

  send(connection: HubConnection, packet: Packet): void {
    if (connection.closed || connection.silent) return
    const acknowledges = packet._tag === "Puback" || packet._tag === "Pubrec" || packet._tag === "Pubcomp"
    const active = this.faults.isEmpty()
      ? undefined
      : this.faults.find("sent", connection.id, connection.clientId, packet, acknowledges ? isNotWithhold : isAny)
    const action = active?.fault.action ?? this.cutter?.onPacket(connection, "sent", packet)
    if (action === undefined) return this.writeRecorded(connection, packet, undefined)
    if (action._tag === "Withhold") {
      connection.held.push({ packet, by: active! })
      return this.#countHeld(active!, connection.id)
    }
    actOnSent(this, connection, packet, action)
  }

  writeRecorded(connection: HubConnection, packet: Packet, action: FaultAction | undefined): void {
    this.record("sent", connection, packet, action)
    this.#write(connection, packet)
  }

  #write(connection: HubConnection, packet: Packet): void {
    connection.account("sent", packet)
    if (packet._tag === "Connack" && packet.reasonCode === 0) {
      this.#accepted.set(connection.clientId, this.accepted(connection.clientId) + 1)
    }
    connection.encode(packet)
    if (connection.unwritten) return
    connection.unwritten = true
    this.#unwritten.push(connection)
  }

  record(direction: Direction, connection: HubConnection, packet: Packet, action: FaultAction | undefined): void {
    const { recorder } = this.options
    if (!recorder.isNeeded()) return
    const size = Codec.sizeOf(packet, connection.protocolVersion)
    recorder.add(this.options.now(), direction, connection.id, connection.clientId, packet, size, action?._tag)
  }

  /** Passes the encoded bytes to the network. */
  flush(connection: HubConnection): void {
    connection.unwritten = false
    for (const chunk of connection.takeBytes()) this.#writeBytes(connection, chunk)
  }

  #writeBytes(connection: HubConnection, bytes: Uint8Array): void {
    connection.bytesSent += bytes.length
    this.bytesSent += bytes.length
    if (connection.stream.write(bytes) !== "congested" || connection.congested) return
    if (connection.stream.pendingBytes() < this.options.maximumPendingBytes) return
    connection.congested = true
    this.core?.setWritable(connection.id, false, this.options.now())
  }

  /** Sends bytes after everything that was sent before. */
  writeRaw(connection: HubConnection, bytes: Uint8Array): void {
    this.flush(connection)
    this.#writeBytes(connection, bytes)
  }

  /** Sends a packet that is not part of the core's state. Faults do not apply. */
  sendPacket(connection: HubConnection, packet: Packet): void {
    this.writeRecorded(connection, packet, undefined)
    this.settle()
  }

  /** Ends a connection as a failing network does. */
  cut(connection: HubConnection, reset: boolean): void {
    if (connection.closed) return
    if (!reset) this.flush(connection)
    this.#markClosed(connection, "fault")
    if (reset) connection.stream.destroy()
    else connection.stream.end()
    this.core?.connectionClosed(connection.id, this.options.now())
  }

  /** Releases withheld packets of a connection. Returns their number. */
  release(connection: HubConnection, order: ReleaseOrder, count: number, by: ActiveFault | undefined): number {
    const ordered = <A>(items: ReadonlyArray<A>): ReadonlyArray<A> => {
      const chosen = items.slice(0, count)
      if (order === "shuffle") return this.random.shuffle(chosen)
      return order === "reverse" ? chosen.map((_, index) => chosen[chosen.length - 1 - index]!) : chosen
    }
    const acknowledgements = this.core?.releaseAcknowledgements(
      connection.id,
      (held) => ordered(by === undefined ? held : held.filter((packet) => this.#heldBy.get(packet) === by))
    ) ?? 0
    this.carryOut()
    const others = ordered(connection.held.filter((held) => by === undefined || held.by === by))
    connection.held = connection.held.filter((held) => !others.includes(held))
    for (const { packet } of others) {
      if (!connection.closed && !connection.silent) this.writeRecorded(connection, packet, undefined)
    }
    return acknowledgements + others.length
  }

  inject(fault: Fault): ActiveFault {
    return this.faults.inject(fault, this.#lastConnection)
  }

  /** Kills the broker: connections are reset, and state outside the journal is lost. */
  crash(): void {
    this.core = undefined
    this.#alarms.clear()
    this.#full = []
    for (const connection of this.#live.values()) {
      this.#markClosed(connection, "fault")
      connection.stream.destroy()
    }
    this.#unwritten = []
    this.settle()
  }

  start(): void {
    this.core ??= this.#makeCore()
    this.settle()
  }

  /** Limits survive a crash, like a configuration. */
  setLimits(limits: Partial<BrokerLimits>): void {
    this.#limits = { ...this.#limits, ...limits }
    this.core?.setLimits(limits)
  }

  #markClosed(connection: HubConnection, by: ConnectionRecord["closedBy"]): void {
    connection.closed = true
    connection.closedAt = this.options.now()
    connection.closedBy = by
    connection.inQueue = []
    connection.outQueue = []
    connection.held = []
    this.#live.delete(connection.id)
  }

  alarm(duration: Duration.Duration, run: () => void): void {
    this.#alarms.add(this.options.now() + Duration.toMillis(duration), run)
  }

  /** Infinity: nothing is due. */
  nextDeadline(): number {
    return this.#armed = this.#deadline()
  }

  #deadline(): number {
    return Math.min(this.core?.nextDeadline() ?? Infinity, this.#alarms.next())
  }

  tick(): void {
    const now = this.options.now()
    for (const run of this.#alarms.takeDue(now)) {
      run()
      this.carryOut()
    }
    this.core?.tick(now)
    this.settle()
  }

  carryOut(): void {
    for (;;) {
      const outputs = this.core?.take()
      if (outputs === undefined || outputs.length === 0) {
        if (this.#full.length === 0) return
        for (const { by, connection } of this.#full.splice(0)) {
          const { action } = by.fault
          const live = this.#live.get(connection)
          if (live !== undefined && action._tag === "Withhold") this.release(live, action.order, Infinity, by)
        }
        continue
      }
      for (const output of outputs) this.#output(output)
    }
  }

  settle(): void {
    if (this.#settling) return
    this.#settling = true
    try {
      this.carryOut()
      if (this.#unwritten.length > 0) {
        const unwritten = this.#unwritten
        this.#unwritten = []
        for (const connection of unwritten) {
          if (connection.unwritten && !connection.closed) this.flush(connection)
        }
      }
      this.waiters.check()
    } finally {
      this.#settling = false
    }
    if (this.#deadline() < this.#armed) this.options.onDeadline()
    this.waiters.resume()
  }
}
