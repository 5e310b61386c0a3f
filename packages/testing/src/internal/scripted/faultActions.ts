/**
 * Applies a fault to a packet and to its connection.
 */
import * as Codec from "@effect-mqttx/core/Codec"
import type { Packet } from "@effect-mqttx/core/Packet"
import type * as Duration from "effect/Duration"
import type { Direction } from "../../PacketRecord.ts"
import type { HubConnection } from "./connection.ts"
import type { FaultAction } from "./fault.ts"
import type { SeededRandom } from "./random.ts"

/**
 * The path of packets between byte streams and the core, as far as actions change it.
 */
export interface PacketPath {
  readonly random: SeededRandom
  /** A packet of the client, to which other faults may apply. */
  readonly receive: (connection: HubConnection, packet: Packet) => void
  /** Packets of the client for the core, without further faults. */
  readonly process: (connection: HubConnection, packets: ReadonlyArray<Packet>) => void
  /** Carries out the outputs of the core so far. */
  readonly carryOut: () => void
  /** A packet of the broker, to which other faults may apply. */
  readonly send: (connection: HubConnection, packet: Packet) => void
  /** A packet for the next write, without further faults. */
  readonly writeRecorded: (connection: HubConnection, packet: Packet, action: FaultAction | undefined) => void
  readonly record: (
    direction: Direction,
    connection: HubConnection,
    packet: Packet,
    action: FaultAction | undefined
  ) => void
  /** Passes the encoded bytes to the network. */
  readonly flush: (connection: HubConnection) => void
  /** Sends bytes after everything that was sent before. */
  readonly writeRaw: (connection: HubConnection, bytes: Uint8Array) => void
  /** Ends a connection as a failing network does. */
  readonly cut: (connection: HubConnection, reset: boolean) => void
  /** Ends a connection that the core has closed, unless packets to it are delayed. */
  readonly endWhenDone: (connection: HubConnection) => void
  readonly alarm: (duration: Duration.Duration, run: () => void) => void
}

/**
 * Applies an action to a packet of the client.
 */
export const actOnReceived = (
  path: PacketPath,
  connection: HubConnection,
  packet: Packet,
  action: FaultAction
): void => {
  switch (action._tag) {
    case "DropBefore":
    case "CutInside":
      return path.cut(connection, action.reset)
    case "DropAfter":
      // Later answers must not reach the client.
      path.carryOut()
      connection.silent = true
      path.process(connection, [packet])
      path.carryOut()
      return path.cut(connection, action.reset)
    case "Delay":
      connection.delayedIn = true
      return path.alarm(action.duration, () => {
        connection.delayedIn = false
        if (connection.closed) return
        path.process(connection, [packet])
        const waiting = connection.inQueue
        connection.inQueue = []
        for (const next of waiting) {
          if (connection.delayedIn) connection.inQueue.push(next)
          else path.receive(connection, next)
        }
      })
    case "Duplicate":
      return path.process(connection, Array.from({ length: action.copies + 1 }, () => packet))
    case "Discard":
      return
    case "Replace":
      return path.process(connection, action.by(packet))
    case "SendRaw":
      if (!action.instead) path.process(connection, [packet])
      path.carryOut()
      return path.writeRaw(connection, action.bytes)
    case "GoSilent":
      connection.silent = true
      return
    case "StopReading":
      path.process(connection, [packet])
      return connection.stream.pause()
    case "Withhold":
      return path.process(connection, [packet])
  }
}

/**
 * Applies an action to a packet of the broker. Withheld packets never get here.
 */
export const actOnSent = (
  path: PacketPath,
  connection: HubConnection,
  packet: Packet,
  action: Exclude<FaultAction, { readonly _tag: "Withhold" }>
): void => {
  switch (action._tag) {
    case "DropBefore":
      return path.cut(connection, action.reset)
    case "DropAfter":
      path.writeRecorded(connection, packet, action)
      return path.cut(connection, action.reset)
    case "CutInside": {
      const bytes = Codec.encode(packet, connection.protocolVersion)
      const cutAt = action.bytes ?? path.random.between(1, bytes.length - 1)
      path.record("sent", connection, packet, action)
      path.writeRaw(connection, bytes.slice(0, cutAt))
      return path.cut(connection, action.reset)
    }
    case "Delay":
      connection.delayedOut = true
      return path.alarm(action.duration, () => {
        connection.delayedOut = false
        if (connection.closed) return
        path.writeRecorded(connection, packet, action)
        const waiting = connection.outQueue
        connection.outQueue = []
        for (const next of waiting) {
          if (connection.delayedOut) connection.outQueue.push(next)
          else path.send(connection, next)
        }
        path.endWhenDone(connection)
      })
    case "Duplicate":
      for (let i = 0; i <= action.copies; i++) path.writeRecorded(connection, packet, action)
      return
    case "Discard":
      return
    case "Replace":
      for (const other of action.by(packet)) path.writeRecorded(connection, other, action)
      return
    case "SendRaw":
      if (!action.instead) path.writeRecorded(connection, packet, action)
      return path.writeRaw(connection, action.bytes)
    case "GoSilent":
      path.flush(connection)
      connection.silent = true
      return
    case "StopReading":
      path.writeRecorded(connection, packet, action)
      return connection.stream.pause()
  }
}
