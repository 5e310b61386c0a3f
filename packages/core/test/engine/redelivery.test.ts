import { assert, describe, it } from "@effect/vitest"
import { ack, Harness, publish } from "./harness.ts"

/** Which of the deliveries of an output may have been with somebody before. */
const redelivered = ({ deliveries }: ReturnType<Harness["flush"]>): ReadonlyArray<boolean> =>
  deliveries.map(({ delivery }) => delivery.redelivered)

const released = ({ events }: ReturnType<Harness["flush"]>): ReadonlyArray<number> =>
  events.flatMap((event) => event._tag === "InboundReleased" ? [event.packetIdentifier] : [])

describe("a QoS 2 message that may have been here before", () => {
  it("is one whose identifier the store knew; a later one with the same identifier is new", () => {
    const h = new Harness({ durable: true })
    h.engine.restore([{ _tag: "Inbound", packetIdentifier: 7, acknowledged: false }], h.now)
    const consumer = h.add("t")
    h.connect(true)
    const output = h.feed(publish("t", 2, 7, { dup: true }), publish("t", 2, 8))
    assert.deepStrictEqual(redelivered(output), [true, false])
    for (const { delivery } of output.deliveries) h.engine.acknowledge(consumer, delivery, h.now)
    h.flush()
    assert.deepStrictEqual(released(h.feed(ack("Pubrel", 7))), [7])
    assert.deepStrictEqual(redelivered(h.feed(publish("t", 2, 7))), [false])
  })

  it("is one that a consumer left unfinished, for the next one; QoS 1 never is", () => {
    const h = new Harness({ durable: true })
    h.connect()
    const first = h.subscribe("t")
    assert.deepStrictEqual(redelivered(h.feed(publish("t", 2, 1), publish("t", 1, 2))), [false, false])
    h.engine.removeConsumer(first, h.now)
    h.flush()
    h.add("t")
    assert.deepStrictEqual(redelivered(h.flush()), [true, false])
  })

  it("only a durable session tells which identifiers are released", () => {
    const h = new Harness()
    h.connect()
    const consumer = h.subscribe("t")
    for (const { delivery } of h.feed(publish("t", 2, 1)).deliveries) h.engine.acknowledge(consumer, delivery, h.now)
    h.flush()
    assert.deepStrictEqual(released(h.feed(ack("Pubrel", 1))), [])
  })
})
