/**
 * Records as a session loads them from a store that keeps bytes: the queued messages among them are bytes still.
 */
import { Effect } from "effect"
import { makeQueuedRecords, queuedMessage } from "../src/internal/engine/outboundMessage.ts"
import { QueuedMessages, type QueuedRecords } from "../src/internal/store/queuedRecords.ts"
import { keyOf, type OutboundRecord, type StoreRecord } from "../src/StoreRecord.ts"
import { encode, RecordCollector } from "../src/StoreRecordCodec.ts"

export interface Stored {
  readonly records: ReadonlyArray<StoreRecord>
  readonly queued: QueuedRecords
}

export const stored = (records: Iterable<StoreRecord>): Stored => {
  const queued = makeQueuedRecords()
  const collector = Effect.runSync(Effect.provideService(RecordCollector.make, QueuedMessages, queued))
  for (const record of records) {
    const failure = collector.add(keyOf(record), encode(record))
    if (failure !== undefined) throw new Error(JSON.stringify(failure))
  }
  return { records: collector.records, queued }
}

/** The same messages as records. */
export const recordsOf = (queued: QueuedRecords): ReadonlyArray<OutboundRecord> =>
  Array.from(queued, (record) => queuedMessage(record, 0).toRecord(0))
