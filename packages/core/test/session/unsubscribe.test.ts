import type { Packet } from "@effect-mqttx/core/Packet"
import * as Fault from "@effect-mqttx/testing/Fault"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeBroker, readySession } from "./support.ts"

/** UNSUBACKs of the broker with another reason code. */
const answering = (reasonCode: number, reasonString?: string) =>
  Fault.replace({ direction: "sent", packet: "Unsuback" }, (packet: Packet) =>
    packet._tag === "Unsuback"
      ? [{
        ...packet,
        reasonCodes: packet.reasonCodes.map(() => reasonCode),
        properties: reasonString === undefined ? packet.properties : { reasonString }
      }]
      : [packet])

describe("unsubscribe", () => {
  it.live("fails with UnsubscribeRefused when UNSUBACK says so", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* readySession(broker, { name: "plant" })
      yield* session.subscription("t")
      yield* broker.inject(answering(0x87, "not yours"))
      const error = yield* Effect.flip(session.unsubscribe("t"))
      assert.deepStrictEqual([error.session, error.method, error.topic], ["plant", "unsubscribe", "t"])
      const { reason } = error
      assert.strictEqual(reason._tag, "UnsubscribeRefused")
      assert.deepInclude(reason, { filter: "t", reasonCode: 0x87, reasonString: "not yours" })
      assert.lengthOf(broker.received("Unsubscribe"), 1)
      // Refused once is not refused for ever: the server is asked anew.
      yield* session.unsubscribe("t")
      assert.lengthOf(broker.received("Unsubscribe"), 2)
    }))

  it.live("fails only the callers that wait for the refused filter", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* readySession(broker)
      yield* session.subscription(["a", "b"])
      yield* broker.inject(Fault.replace({ direction: "sent", packet: "Unsuback" }, (packet) =>
        packet._tag === "Unsuback" ? [{ ...packet, reasonCodes: [0x80, 0] }] : [packet]))
      const results = yield* Effect.forEach(["a", "a", "b"], (filter) =>
        Effect.result(session.unsubscribe(filter)), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(broker.received("Unsubscribe").map(({ packet }) => packet.filters), [["a", "b"]])
      assert.deepStrictEqual(results.map(({ _tag }) => _tag), ["Failure", "Failure", "Success"])
    }))

  it.live("succeeds when the server had no such subscription (17), and on 3.1.1, which has no codes", () =>
    Effect.gen(function*() {
      for (const protocolVersion of [4, 5] as const) {
        const broker = yield* makeBroker("memory")
        const session = yield* readySession(broker, { protocolVersion })
        yield* session.unsubscribe("never/subscribed")
        const answers = broker.sent("Unsuback").map(({ packet }) => packet.reasonCodes)
        assert.deepStrictEqual(answers, [protocolVersion === 5 ? [17] : []])
      }
    }))

  it.live("a refusal that comes when a stream has ended does no harm", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* readySession(broker)
      yield* broker.inject(answering(0x83))
      yield* Effect.scoped(session.subscription("t"))
      yield* broker.awaitUntil(() => broker.sent("Unsuback").length === 1)
      yield* session.publish("other", "1", { qos: 1 })
      assert.isTrue((yield* session.status).ready)
    }))
})
