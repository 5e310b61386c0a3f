/**
 * Queries on the recorded packets: those of one type, and the wait for one.
 */
import type { Tag } from "@effect-mqttx/core/Packet"
import * as Effect from "effect/Effect"
import type { RecordedPacket } from "../../PacketRecord.ts"
import { checked } from "./checked.ts"
import { matchChecks } from "./checks.ts"
import type { RecordedPacketOf, RecordMatch } from "./contract.ts"
import type { RunningHub } from "./runningHub.ts"

const matching = (match: RecordMatch) => (record: RecordedPacket): boolean =>
  (match.direction === undefined || match.direction === record.direction) &&
  (match.packet === undefined || match.packet === record.packet._tag) &&
  (match.clientId === undefined || match.clientId === record.clientId) &&
  (match.connection === undefined || match.connection === record.connection) &&
  (match.where === undefined || match.where(record))

/** The recorded packets of one type in one direction. */
export const ofType =
  ({ recorder }: RunningHub, direction: "received" | "sent") =>
  <T extends Tag>(tag: T, clientId?: string): ReadonlyArray<RecordedPacketOf<T>> =>
    recorder.packets().filter((record): record is RecordedPacketOf<T> =>
      record.direction === direction && record.packet._tag === tag &&
      (clientId === undefined || record.clientId === clientId)
    )

export const awaitPacket = <T extends Tag>(
  running: RunningHub,
  match: RecordMatch<T>
): Effect.Effect<RecordedPacketOf<T>> =>
  checked("awaitPacket", {}, () => waitForPacket(running, match), match ?? null, matchChecks)

const waitForPacket = <T extends Tag>(
  { hub, recorder }: RunningHub,
  match: RecordMatch<T>
): Effect.Effect<RecordedPacketOf<T>> =>
  Effect.callback<RecordedPacketOf<T>>((resume) => {
    const isMatch = matching(match)
    let missing = match.nth ?? 1
    const predicate = (record: RecordedPacket): boolean => isMatch(record) && --missing === 0
    const found = match.fromNow === true ? undefined : recorder.packets().find(predicate)
    if (found !== undefined) return resume(Effect.succeed(found as RecordedPacketOf<T>))
    const stop = recorder.wait({
      predicate,
      resume: (record) => hub.waiters.later(() => resume(Effect.succeed(record as RecordedPacketOf<T>)))
    })
    return Effect.sync(stop)
  })
