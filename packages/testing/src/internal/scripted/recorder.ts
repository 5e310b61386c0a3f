/**
 * The record of packets in order, and the waiters for packets.
 */
import type { Packet } from "@effect-mqttx/core/Packet"
import type { Direction, RecordedPacket } from "../../PacketRecord.ts"

interface Waiter {
  readonly predicate: (record: RecordedPacket) => boolean
  readonly resume: (record: RecordedPacket) => void
}

export interface Recorder {
  readonly enabled: boolean
  /** Appends to a log that has the record's limit. */
  readonly append: <A>(log: Array<A>, entry: A) => void
  readonly setLimit: (limit: number) => void
  readonly clear: () => void
  readonly packets: () => ReadonlyArray<RecordedPacket>
  /** Whether a record or a waiter needs packets. */
  readonly isNeeded: () => boolean
  readonly add: (
    at: number,
    direction: Direction,
    connection: number,
    clientId: string,
    packet: Packet,
    size: number,
    fault: string | undefined
  ) => void
  /** Adds a waiter. Returns a function that removes it. */
  readonly wait: (waiter: Waiter) => () => void
}

/**
 * Keeps the newest `limit` packets; 0 keeps none.
 */
export const makeRecorder = (initialLimit: number): Recorder => {
  let limit = initialLimit
  let packets: Array<RecordedPacket> = []
  let index = 0
  const waiters = new Set<Waiter>()
  const trim = (slack: number): void => {
    if (packets.length > limit + slack) packets = limit === 0 ? [] : packets.slice(-limit)
  }
  return {
    get enabled() {
      return limit > 0
    },
    append: (log, entry) => {
      if (limit === 0) return
      log.push(entry)
      if (log.length > limit * 2) log.splice(0, log.length - limit)
    },
    setLimit: (next) => {
      limit = next
      trim(0)
    },
    clear: () => {
      packets = []
    },
    packets: () => {
      trim(0)
      return packets
    },
    isNeeded: () => limit > 0 || waiters.size > 0,
    add: (at, direction, connection, clientId, packet, size, fault) => {
      const record: RecordedPacket = { index: index++, at, direction, connection, clientId, packet, size, fault }
      if (limit > 0) {
        packets.push(record)
        // Allows half the limit more before trimming, because trimming copies the array.
        trim(limit === Infinity ? Infinity : Math.ceil(limit / 2) + 16)
      }
      for (const waiter of waiters) {
        if (!waiter.predicate(record)) continue
        waiters.delete(waiter)
        waiter.resume(record)
      }
    },
    wait: (waiter) => {
      waiters.add(waiter)
      return () => waiters.delete(waiter)
    }
  }
}
