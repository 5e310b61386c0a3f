/**
 * Cases: the changes of a commit, and the records loaded after it.
 */
import { keyOf, outboundKey } from "@effect-mqttx/core/StoreRecord"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { makeRandom } from "../scripted/random.ts"
import type { SessionStoreCase } from "./case.ts"
import { expect, expectRecords } from "./expectation.ts"
import * as Records from "./records.ts"

const { drop, outbound, put } = Records

/** Enough records that a store which works in parts needs several parts. */
const many = 10_000
/** More than the possible number of parameters of one function call, or of one command of a database. */
const tooMany = 70_000

export const recordCases: ReadonlyArray<SessionStoreCase> = [
  {
    name: "a session that was never opened has no records",
    run: Effect.fnUntraced(function*(store) {
      const handle = yield* store.open("plant")
      expectRecords(yield* handle.load, [], "at first")
    })
  },
  {
    name: "the durability is one of the three",
    run: Effect.fnUntraced(function*(store) {
      const { durability } = yield* store.open("plant")
      expect(["session", "process", "power"].includes(durability), `the durability is ${JSON.stringify(durability)}`)
    })
  },
  {
    name: "records of every type come back with all their fields",
    run: Effect.fnUntraced(function*(store) {
      const handle = yield* store.open("plant")
      yield* handle.commit(Records.samples.map(put))
      expectRecords(yield* handle.load, Records.samples, "after a commit of all types")
      const unknown = Records.identity("", { protocolVersion: 4, incarnation: "", sessionExpiryInterval: undefined })
      yield* handle.commit([put(unknown)])
      expectRecords(
        yield* handle.load,
        [...Records.samples.filter((record) => record._tag !== "Identity"), unknown],
        "after the identity was replaced"
      )
    })
  },
  {
    name: "a payload of 1 MB comes back",
    run: Effect.fnUntraced(function*(store) {
      const handle = yield* store.open("plant")
      const records = [
        outbound(1, { payload: new Uint8Array(1_000_000).map((_, i) => (i * 7) ^ (i >> 8)) }),
        outbound(2)
      ]
      yield* handle.commit(records.map(put))
      expectRecords(yield* handle.load, records, "after the commit")
    })
  },
  {
    name: "unusual texts come back, and no two are confused",
    run: Effect.fnUntraced(function*(store) {
      const handle = yield* store.open("plant")
      const texts = [...Records.unusualTexts, Records.longestText("b"), Records.longestText("c")]
      const records = texts.flatMap((text, i) => [
        outbound(i, { topic: text, properties: { contentType: text, userProperties: [[text, text]] } }),
        Records.subscription(text, { subscriptionIdentifier: i + 1 }),
        Records.origin(text, 1, text)
      ])
      yield* handle.commit(records.map(put))
      expectRecords(yield* handle.load, records, "after the commit")
      yield* handle.commit(records.slice(3).map((record) => drop(keyOf(record))))
      expectRecords(yield* handle.load, records.slice(0, 3), "after all but the first were deleted")
    })
  },
  {
    name: "outbound records are loaded in the order of their sequence, which is a number and not a text",
    run: Effect.fnUntraced(function*(store) {
      const handle = yield* store.open("plant")
      const sequences = [0, 1, 2, 9, 10, 11, 99, 100, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 40, Number.MAX_SAFE_INTEGER]
      const records = makeRandom(1).shuffle(sequences).map((sequence) => outbound(sequence))
      yield* handle.commit(records.slice(0, 6).map(put))
      yield* handle.commit(records.slice(6).map(put))
      expectRecords(yield* handle.load, records, "after commits in another order")
    })
  },
  {
    name: "put replaces the record of the same key",
    run: Effect.fnUntraced(function*(store) {
      const handle = yield* store.open("plant")
      const publishing = outbound(1, { state: "publishing", packetIdentifier: 7, qos: 2 })
      const releasing = { ...publishing, state: "releasing", payload: new Uint8Array(0) } as const
      yield* handle.commit([put(publishing), put(Records.inbound(3)), put(Records.origin("cloud", 1, "i@1"))])
      const records = [releasing, Records.inbound(3, true), Records.origin("cloud", 1, "i@2")]
      yield* handle.commit(records.map(put))
      expectRecords(yield* handle.load, records, "after the second commit")
    })
  },
  {
    name: "delete removes one record, and a key that is not there is no failure",
    run: Effect.fnUntraced(function*(store) {
      const handle = yield* store.open("plant")
      yield* handle.commit([drop(outboundKey(1)), drop("inbound/1"), drop("no key of any record")])
      yield* handle.commit([put(outbound(1)), put(outbound(10)), put(outbound(11))])
      yield* handle.commit([drop(outboundKey(1)), drop(outboundKey(2))])
      expectRecords(yield* handle.load, [outbound(10), outbound(11)], "after the delete")
    })
  },
  {
    name: "the changes of one commit are applied in order",
    run: Effect.fnUntraced(function*(store) {
      const handle = yield* store.open("plant")
      const [first, last] = [outbound(1, { topic: "first" }), outbound(1, { topic: "last" })]
      yield* handle.commit([put(first), drop(keyOf(first)), put(last), put(outbound(2)), drop(outboundKey(2))])
      expectRecords(yield* handle.load, [last], "after put, delete and put")
      yield* handle.commit([drop(keyOf(last)), put(first), put(outbound(2)), drop(keyOf(first))])
      expectRecords(yield* handle.load, [outbound(2)], "after delete, put and delete")
    })
  },
  {
    name: "a commit of nothing changes nothing",
    run: Effect.fnUntraced(function*(store) {
      const handle = yield* store.open("plant")
      yield* handle.commit([])
      expectRecords(yield* handle.load, [], "in an empty store")
      yield* handle.commit([put(outbound(1))])
      yield* handle.commit([])
      expectRecords(yield* handle.load, [outbound(1)], "in a store with a record")
    })
  },
  {
    name: "the same changes committed again are as good as once",
    run: Effect.fnUntraced(function*(store) {
      const handle = yield* store.open("plant")
      yield* handle.commit([put(outbound(1)), put(outbound(2))])
      const changes = [drop(outboundKey(1)), put(outbound(2, { topic: "b" })), put(outbound(3)), drop(outboundKey(3))]
      for (let time = 1; time <= 3; time++) {
        yield* handle.commit(changes)
        expectRecords(yield* handle.load, [outbound(2, { topic: "b" })], `after commit ${time} of the same`)
      }
    })
  },
  {
    name: `a commit may hold ${many.toLocaleString("en")} changes`,
    run: Effect.fnUntraced(function*(store) {
      const handle = yield* store.open("plant")
      const records = Array.from({ length: many }, (_, i) => outbound(i + 1))
      yield* handle.commit(records.map(put))
      expectRecords(yield* handle.load, records, "after all were put")
      yield* handle.commit(records.slice(1).map((record) => drop(keyOf(record))))
      expectRecords(yield* handle.load, records.slice(0, 1), "after all but the first were deleted")
    })
  },
  {
    name: `a commit may hold ${tooMany.toLocaleString("en")} messages, and another one their deletion`,
    run: Effect.fnUntraced(function*(store) {
      const handle = yield* store.open("plant")
      const records = Array.from({ length: tooMany }, (_, i) => outbound(i + 1))
      yield* handle.commit([put(Records.inbound(1)), ...records.map(put), put(Records.identity("last"))])
      const others = [Records.inbound(1), Records.identity("last")]
      expectRecords(yield* handle.load, [...records, ...others], "after all were put")
      // The put and most of the deletions are far apart in the commit.
      const changed = outbound(1, { topic: "changed" })
      yield* handle.commit([put(changed), ...records.slice(1).map((record) => drop(keyOf(record)))])
      expectRecords(yield* handle.load, [changed, ...others], "after all but the first were deleted")
      yield* handle.commit([put(outbound(2))])
      expectRecords(yield* handle.load, [changed, outbound(2), ...others], "after a small commit that followed")
    })
  },
  {
    name: "a record that no packet can hold is stored as it is, or refused permanently with all changes of its commit",
    run: Effect.fnUntraced(function*(store) {
      const handle = yield* store.open("plant")
      yield* handle.commit([put(outbound(1))])
      const impossible = outbound(3, { topic: "half a character: \ud800" })
      const exit = yield* Effect.exit(handle.commit([put(outbound(2)), put(impossible), drop(outboundKey(1))]))
      if (Exit.isSuccess(exit)) {
        return expectRecords(yield* handle.load, [outbound(2), impossible], "after the commit")
      }
      const error = yield* Effect.flip(exit)
      expect(
        error.reason._tag === "StorageFailed" && error.reason.kind === "invalid" && !error.reason.isRetryable,
        `expected StorageFailed of the kind "invalid", got ${error.message}`
      )
      expectRecords(yield* handle.load, [outbound(1)], "after the commit that was refused")
      yield* handle.commit([put(outbound(2))])
      expectRecords(yield* handle.load, [outbound(1), outbound(2)], "after a commit that followed")
    })
  },
  {
    name: "loading again gives the same, and a later commit does not change what was loaded",
    run: Effect.fnUntraced(function*(store) {
      const handle = yield* store.open("plant")
      yield* handle.commit(Records.samples.map(put))
      const first = yield* handle.load
      expectRecords(yield* handle.load, Records.samples, "loaded again")
      yield* handle.commit(Records.samples.map((record) => drop(keyOf(record))))
      expectRecords(yield* handle.load, [], "loaded after the delete")
      expectRecords(first, Records.samples, "loaded before the delete")
    })
  }
]
