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
import type { BrokerCore, ConnectionOutput, CoreOptions } from "../broker/contract.ts"
import { Alarms } from "./alarms.ts"
import type { HubConnection } from "./connection.ts"
import { ConnectionTable } from "./connectionTable.ts"
import { CoreLife } from "./coreLife.ts"
import type { Cutter } from "./cutter.ts"
import type { Fault, FaultAction, ReleaseOrder } from "./fault.ts"
import { actOnReceived, actOnSent, type PacketPath } from "./faultActions.ts"
import { type ActiveFault, type FaultTable, makeFaultTable } from "./faultTable.ts"
import type { SeededRandom } from "./random.ts"
import type { Recorder } from "./recorder.ts"
import { Waiters } from "./waiters.ts"
import { Withheld } from "./withheld.ts"
import { Writes } from "./writes.ts"

export interface HubOptions {
  readonly core: CoreOptions
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
  readonly life: CoreLife
  readonly writes: Writes
  readonly table = new ConnectionTable()
  readonly #alarms = new Alarms()
  readonly waiters = new Waiters()
  readonly #withheld = new Withheld()
  #settling = false
  #armed = Infinity
  bytesReceived = 0

  constructor(options: HubOptions) {
    this.options = options
    this.random = options.random
    this.faults = makeFaultTable(options.random)
    this.writes = new Writes(options.maximumPendingBytes, ({ id }) => this.core?.setWritable(id, false, options.now()))
    this.life = new CoreLife({
      ...options.core,
      holdAcknowledgement: ({ clientId, connection }, packet) => {
        const by = this.faults.isEmpty()
          ? undefined
          : this.faults.find("sent", connection, clientId, packet, isWithhold)
        if (by === undefined) return false
        this.#withheld.hold(packet, by, connection)
        return true
      }
    }, options.now)
  }

  /** Undefined while the broker does not run. */
  get core(): BrokerCore | undefined {
    return this.life.core
  }

  /** Undefined while the broker does not run. */
  accept(stream: ByteStream, network: ConnectionRecord["network"]): ByteStreamHandlers | undefined {
    const { core } = this
    if (core === undefined) return undefined
    const now = this.options.now()
    const connection = this.table.open(stream, network, core, now, this.options.recorder.enabled)
    core.connectionOpened(connection.id, now)
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
    const connection = this.table.get(output.connection)
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
      return this.#withheld.count(active!, connection.id)
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
      this.table.accept(connection)
    }
    this.writes.encode(connection, packet)
  }

  record(direction: Direction, connection: HubConnection, packet: Packet, action: FaultAction | undefined): void {
    const { recorder } = this.options
    if (!recorder.isNeeded()) return
    const size = Codec.sizeOf(packet, connection.protocolVersion)
    recorder.add(this.options.now(), direction, connection.id, connection.clientId, packet, size, action?._tag)
  }

  /** Passes the encoded bytes to the network. */
  flush(connection: HubConnection): void {
    this.writes.flush(connection)
  }

  /** Sends bytes after everything that was sent before. */
  writeRaw(connection: HubConnection, bytes: Uint8Array): void {
    this.flush(connection)
    this.writes.write(connection, bytes)
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
      (held) => ordered(by === undefined ? held : held.filter((packet) => this.#withheld.holderOf(packet) === by))
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
    return this.faults.inject(fault, this.table.last)
  }

  /** Kills the broker: connections are reset, and state outside the journal is lost. */
  crash(): void {
    this.life.crash()
    this.#alarms.clear()
    this.#withheld.clear()
    for (const connection of this.table.live) {
      this.#markClosed(connection, "fault")
      connection.stream.destroy()
    }
    this.writes.clear()
    this.settle()
  }

  start(): void {
    this.life.start()
    this.settle()
  }

  #markClosed(connection: HubConnection, by: ConnectionRecord["closedBy"]): void {
    this.table.close(connection, by, this.options.now())
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
        const full = this.#withheld.takeFull()
        if (full.length === 0) return
        for (const { by, connection } of full) {
          const { action } = by.fault
          const live = this.table.get(connection)
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
      this.writes.flushAll()
      this.waiters.check()
    } finally {
      this.#settling = false
    }
    if (this.#deadline() < this.#armed) this.options.onDeadline()
    this.waiters.resume()
  }
}
