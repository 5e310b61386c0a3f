/**
 * The figures of a session against an independent count: the record of the broker.
 *
 * Bytes count as sent when they are passed to the network, and as received when they come from it. So both sides agree
 * to the byte as long as connections end in order; of a connection that is cut, the other side may have got less than
 * was sent, never more.
 */
import type { Session } from "@effect-mqttx/core/MqttSession"
import type { SessionMetrics } from "@effect-mqttx/core/SessionStatus"
import * as Journal from "@effect-mqttx/testing/Journal"
import type * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { makeBroker, type Network, readySession, settle } from "../../../test/support/sessions.ts"

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((total, count) => total + count, 0)

/** What must hold at any time, whatever happened. */
const assertBalanced = ({ published, ...metrics }: SessionMetrics): void => {
  assert.strictEqual(
    published.accepted,
    published.acknowledged + sum(published.failed) + published.withdrawn + published.pending
  )
  assert.strictEqual(metrics.messagesSent, published.acknowledged)
  assert.strictEqual(metrics.reconnects, sum(metrics.reconnectsByReason))
  assert.strictEqual(metrics.errors, sum(metrics.errorsByReason))
}

const decoder = new TextDecoder()

/** Different messages that the broker got on topics with this beginning. */
const distinct = (broker: ScriptedBroker.Service, prefix: string): number =>
  new Set(
    broker.received("Publish").filter(({ packet }) => packet.topic.startsWith(prefix)).map(({ packet }) =>
      `${packet.topic} ${decoder.decode(packet.payload)}`
    )
  ).size

const bytesOf = (broker: ScriptedBroker.Service, direction: "received" | "sent"): number =>
  broker.packets.reduce((total, packet) => packet.direction === direction ? total + packet.size : total, 0)

const each = 1000

/** Publishes numbered messages at QoS 1 and 2, of which some are refused; answers how many succeeded and failed. */
const publishAll = (session: Session) =>
  Effect.gen(function*() {
    let acknowledged = 0
    let refused = 0
    yield* Effect.forEach(
      Array.from({ length: each }, (_, number) => number),
      (number) =>
        session.publish(number % 10 === 0 ? "refused/t" : `up/${number % 3}`, `${number}`, {
          qos: number % 2 === 0 ? 1 : 2
        }).pipe(
          Effect.tap(() => Effect.sync(() => acknowledged++)),
          Effect.catchReason("MqttError", "PublishRefused", () => Effect.sync(() => refused++))
        ),
      { concurrency: 20, discard: true }
    )
    return { acknowledged, refused }
  })

const quiet = (broker: ScriptedBroker.Service, session: Session) =>
  Effect.gen(function*() {
    yield* session.awaitReady
    yield* broker.awaitIdle
    yield* broker.awaitUntil(() => broker.sessions.every(({ queued, inflight }) => queued + inflight === 0))
  })

for (const network of ["memory", "tcp"] as const satisfies ReadonlyArray<Network>) {
  describe(`the figures agree with the broker's record (${network})`, () => {
    it.live("while connections are cut and the broker restarts, with traffic both ways", () =>
      Effect.gen(function*() {
        const broker = yield* makeBroker(network, { journal: Journal.makeMemory() })
        const session = yield* readySession(broker)
        yield* broker.refusePublish("refused/#", 0x87)
        let handled = 0
        yield* Effect.forkScoped(session.consume("down/#", () => Effect.sync(() => handled++), { qos: 1 }))
        yield* broker.awaitPacket({ direction: "received", packet: "Subscribe" })
        yield* session.awaitReady
        const cutter = yield* broker.cutEvery({ packets: [60, 200], seed: 7 })
        const publishing = yield* Effect.forkScoped(publishAll(session))
        let restarts = 0
        for (let number = 0; number < 200; number++) {
          yield* broker.publish(`down/${number % 3}`, `${number}`, { qos: number % 2 === 0 ? 1 : 2 })
          if (number % 80 === 79) {
            yield* session.awaitReady
            yield* broker.restart
            restarts++
          }
          // No more at a time than what gets through between two cuts.
          yield* broker.awaitUntil(() => broker.sessions.every(({ inflight, queued }) => inflight + queued <= 20))
          assertBalanced(yield* session.metrics)
        }
        const { acknowledged, refused } = yield* Fiber.join(publishing)
        yield* cutter.stop
        yield* quiet(broker, session)
        const metrics = yield* session.metrics
        assertBalanced(metrics)
        assert.strictEqual(acknowledged + refused, each)
        assert.isAtLeast(cutter.cuts(), 5)

        // The publisher's account, the session's, and that of the broker.
        assert.deepStrictEqual(metrics.published, {
          accepted: each,
          acknowledged,
          failed: { PublishRefused: refused },
          withdrawn: 0,
          pending: 0,
          refused: {}
        })
        assert.strictEqual(metrics.published.acknowledged, distinct(broker, "up/"))
        assert.strictEqual(refused, distinct(broker, "refused/"))
        assert.strictEqual(metrics.acknowledgement.count, acknowledged)
        assert.strictEqual(metrics.acknowledgement.buckets.reduce((total, count) => total + count, 0), acknowledged)

        const connects = broker.received("Connect").length
        assert.strictEqual(metrics.connections, connects)
        assert.strictEqual(metrics.reconnects, connects - 1)
        assert.isAtLeast(metrics.reconnects, cutter.cuts() + restarts - 1)

        // What left one side and was still on its way when the connection was cut got lost, in both directions.
        assert.isAtLeast(metrics.bytesSent, broker.bytesReceived)
        assert.isAtMost(metrics.bytesReceived, broker.bytesSent)
        assert.isAtMost(metrics.messagesReceived, broker.sent("Publish").length)
        assert.isAtLeast(metrics.messagesReceived, handled)
        assert.strictEqual(metrics.unacknowledged, 0)
      }), 180_000)

    it.live(
      "to the byte and to the message, from CONNECT to DISCONNECT, when connections end in order",
      () =>
        Effect.gen(function*() {
          const broker = yield* makeBroker(network)
          const session = yield* readySession(broker)
          yield* broker.refusePublish("refused/#", 0x87)
          let handled = 0
          yield* Effect.forkScoped(session.consume("down/#", () => Effect.sync(() => handled++), { qos: 2 }))
          yield* broker.awaitPacket({ direction: "sent", packet: "Suback" })
          const publishing = yield* Effect.forkScoped(publishAll(session))
          for (let number = 0; number < 200; number++) {
            yield* broker.publish(`down/${number % 3}`, `${number}`, { qos: (number % 3) as 0 | 1 | 2 })
          }
          yield* Fiber.join(publishing)
          yield* broker.awaitUntil(() => handled === 200)
          yield* quiet(broker, session)
          // The server ends it with its last bytes, as servers do, and again there is traffic.
          yield* broker.disconnect(1, 0x8b)
          yield* broker.awaitConnections(2)
          yield* quiet(broker, session)
          yield* session.publish("up/last", "1", { qos: 2 })
          yield* quiet(broker, session)
          yield* session.drain
          yield* broker.awaitNoConnections
          const metrics = yield* session.metrics
          assertBalanced(metrics)
          assert.strictEqual(metrics.reconnects, broker.received("Connect").length - 1)
          assert.deepStrictEqual(metrics.reconnectsByReason, { ConnectionLost: 1 })
          assert.strictEqual(metrics.messagesReceived, broker.sent("Publish").length)
          assert.strictEqual(metrics.messagesDelivered, 200)
          assert.strictEqual(
            metrics.published.accepted,
            broker.received("Publish").length
          )
          assert.strictEqual(metrics.bytesSent, bytesOf(broker, "received"))
          assert.strictEqual(metrics.bytesReceived, bytesOf(broker, "sent"))
        }),
      180_000
    )

    it.live("about what waits while the server is away, and about its end when it never comes back", () =>
      Effect.gen(function*() {
        const broker = yield* makeBroker(network)
        const session = yield* readySession(broker, { drainTimeout: "10 millis" })
        yield* session.publish("up/0", "0", { qos: 1 })
        yield* broker.crash
        yield* session.statusChanges.pipe(Stream.takeUntil(({ state }) => state === "reconnecting"), Stream.runDrain)
        for (let number = 1; number <= 5; number++) yield* session.enqueue(`up/${number}`, "abc", { qos: 1 })
        const withdrawn = yield* Effect.forkScoped(session.publish("up/6", "6", { qos: 1 }), { startImmediately: true })
        yield* Fiber.interrupt(withdrawn)
        const waiting = yield* session.metrics
        assertBalanced(waiting)
        assert.strictEqual(waiting.published.pending, 5)
        assert.strictEqual(waiting.published.withdrawn, 1)
        assert.strictEqual(waiting.queuedMessages, 5)
        assert.strictEqual(waiting.queuedBytes, 5 * "up/1abc".length)
        yield* session.drain
        yield* settle
        const ended = yield* session.metrics
        assertBalanced(ended)
        assert.deepStrictEqual(ended.published, {
          accepted: 7,
          acknowledged: 1,
          failed: { Closed: 5 },
          withdrawn: 1,
          pending: 0,
          refused: {}
        })
        assert.strictEqual(distinct(broker, "up/"), 1)
      }))

    it.live("about attempts that were refused too", () =>
      Effect.gen(function*() {
        const broker = yield* makeBroker(network)
        yield* broker.refuseConnect(0x88, { times: 3 })
        const session = yield* readySession(broker)
        yield* session.drain
        yield* broker.awaitNoConnections
        const metrics = yield* session.metrics
        assert.strictEqual(broker.received("Connect").length, 4)
        assert.strictEqual(metrics.connections, 1)
        assert.strictEqual(metrics.reconnects, 0)
        assert.deepStrictEqual(metrics.errorsByReason, { ConnectionRefused: 3 })
        assert.strictEqual(metrics.bytesSent, bytesOf(broker, "received"))
        assert.strictEqual(metrics.bytesReceived, bytesOf(broker, "sent"))
      }))
  })
}
