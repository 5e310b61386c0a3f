/**
 * The states of a forwarded message. The lines that must not compile are held by the type check of the tests.
 */
import { Message } from "@effect-mqttx/core/Message"
import { assert, describe, it } from "@effect/vitest"
import type { Outbound, PublishOutcome } from "../../src/internal/engine/contract.ts"
import {
  type ForwardedMessage,
  ForwardedMessages,
  type MessageQueue,
  type Published,
  receive,
  type Received
} from "../../src/internal/forwarder/forwardedMessage.ts"
import { noRoute } from "../../src/internal/forwarder/route.ts"

const receiveOne = (origin?: Parameters<typeof receive>[3]): Received => {
  const message = new Message({
    topic: "t",
    payload: new Uint8Array(1),
    qos: 2,
    retain: false,
    dup: false,
    properties: {},
    session: "s",
    receivedAt: 0
  })
  return receive({} as never, { message, arrivedAt: 0 } as never, noRoute, origin)
}

const makeQueue = () => {
  const accepted: Array<Published> = []
  const settled: Array<PublishOutcome> = []
  const queue: MessageQueue = {
    name: "target",
    isDurable: true,
    session: undefined,
    onAccepted: (message) => {
      message.accept()
      accepted.push(message)
    },
    onSettled: (message, outcome) => {
      message.settle()
      settled.push(outcome)
    },
    withdraw: () => false
  }
  return { queue, accepted, settled }
}

const outboundOf = (): Outbound => ({ owner: undefined, outcome: { _tag: "Acknowledged", reasonCode: 0 } }) as never

const stateOf = (message: ForwardedMessage): ForwardedMessage["state"] => message.state

describe("the states of a forwarded message", () => {
  it("received, waiting, published, accepted, settled, and waiting again in the same position", () => {
    const { accepted, queue, settled } = makeQueue()
    const received = receiveOne()
    assert.strictEqual(received.state, "received")
    const waiting = received.enqueue(queue, 7)
    assert.strictEqual(waiting.state, "waiting")
    const outbound = outboundOf()
    const published = waiting.publish(outbound, undefined)
    assert.strictEqual(published.state, "published")
    outbound.owner!.onAccepted!(outbound)
    assert.strictEqual(stateOf(published), "accepted")
    assert.deepStrictEqual(accepted, [published])
    outbound.owner!.onSettled!(outbound)
    assert.strictEqual(stateOf(published), "settled")
    assert.deepStrictEqual(settled, [outbound.outcome])
    const again = published.settle()
    assert.strictEqual(again.enqueue(queue, again.order).order, 7)
  })

  it("what is acknowledged at its source before the publish ends is not settled", () => {
    const { queue } = makeQueue()
    const published = receiveOne().enqueue(queue, 1).publish(outboundOf(), undefined)
    published.close("acknowledged")
    assert.strictEqual(published.state, "published")
    assert.strictEqual(published.sourceState, "acknowledged")
    const waiting = receiveOne().enqueue(queue, 2)
    waiting.close("returned")
    assert.strictEqual(stateOf(waiting), "settled")
  })

  it("an acceptance that comes after the message was withdrawn changes nothing", () => {
    const { accepted, queue } = makeQueue()
    const outbound = outboundOf()
    const published = receiveOne().enqueue(queue, 1).publish(outbound, undefined)
    published.settle()
    outbound.owner!.onAccepted!(outbound)
    assert.strictEqual(stateOf(published), "settled")
    assert.deepStrictEqual(accepted, [])
  })

  it("the origin is released once, by the target that has it", () => {
    const origin = { forwarder: "f", session: "s", packetIdentifier: 1, use: "u" }
    const released: Array<unknown> = []
    const ledger = { release: (key: unknown) => released.push(key) }
    const settled = receiveOne(origin).enqueue(makeQueue().queue, 1).publish(outboundOf(), ledger as never).settle()
    settled.releaseOrigin()
    settled.releaseOrigin()
    assert.deepStrictEqual(released, [origin])
  })

  it("a state has only its own fields and transitions", () => {
    // Compiled, never called.
    const impossible = (message: ForwardedMessage): ReadonlyArray<unknown> => [
      // @ts-expect-error: only a published message has an outbound message
      message.outbound,
      // @ts-expect-error: a received message cannot be published without a queue
      message.state === "received" ? message.publish : undefined,
      // @ts-expect-error: a published message is not enqueued before it is settled
      message.state === "published" ? message.enqueue : undefined,
      // @ts-expect-error: a waiting message is never returned to its source
      message.state === "waiting" && message.sourceState === "returned",
      // @ts-expect-error: a state is entered by a transition only
      message.state = "settled"
    ]
    assert.isFunction(impossible)
  })

  it("the list keeps the order of arrival", () => {
    const list = new ForwardedMessages()
    const messages = [receiveOne(), receiveOne(), receiveOne()]
    for (const message of messages) list.append(message)
    list.remove(messages[1]!)
    list.append(messages[1]!)
    const order: Array<ForwardedMessage> = []
    for (let head = list.head; head !== undefined; head = list.head) {
      order.push(head)
      list.remove(head)
    }
    assert.deepStrictEqual(order.map((message) => messages.indexOf(message as Received)), [0, 2, 1])
    assert.strictEqual(list.size, 0)
  })
})
