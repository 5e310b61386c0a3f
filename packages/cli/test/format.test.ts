/**
 * What `sub` prints of a message on a terminal, which a process without one cannot show.
 */
import { Message } from "@effect-mqttx/core"
import { assert, describe, it } from "@effect/vitest"
import { formatMessage } from "../src/internal/format.ts"

const message = (topic: string, payload: string | Uint8Array) =>
  new Message.Message({
    topic,
    payload: typeof payload === "string" ? new TextEncoder().encode(payload) : payload,
    qos: 0,
    retain: false,
    dup: false,
    properties: {},
    session: "sub",
    receivedAt: 0
  })

describe("a message on a terminal", () => {
  const print = (topic: string, payload: string, isTerminal: boolean) =>
    formatMessage(message(topic, payload), { format: "text", withTopic: true, isTerminal })

  it("cannot move its cursor or change its title; tabs and line feeds stay", () => {
    assert.strictEqual(
      print("a", "\u001b]0;title\u0007\u001b[2J\u009b1m\tx\ny", true),
      "a \ufffd]0;title\ufffd\ufffd[2J\ufffd1m\tx\ny\n"
    )
  })

  it("is the exact payload where the output is not a terminal, and its topic is clean", () => {
    const printed = print("a\u001b", "\u001b[2J", false)
    assert.deepStrictEqual(printed, new TextEncoder().encode("a\ufffd \u001b[2J\n"))
  })
})
