/**
 * Servers that do not know the session's version of MQTT, and say so in ways of their own.
 */
import * as Fault from "@effect-mqttx/testing/Fault"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { connectsOf, makeBroker, makeSession, pass, reasonOf } from "./support.ts"

const connackFault = (bytes: ReadonlyArray<number> | undefined): Fault.Fault => {
  const match = { direction: "sent", packet: "Connack" } as const
  const options = { times: Infinity }
  return bytes === undefined
    ? Fault.dropBefore(match, options)
    : Fault.sendRaw(match, Uint8Array.from(bytes), { ...options, instead: true })
}

const cases: ReadonlyArray<
  readonly [what: string, version: 4 | 5, answer: ReadonlyArray<number> | undefined, tag: string, permanent: boolean]
> = [
  ["a server of 3.1.1 with return code 1", 5, [0x20, 2, 0, 1], "UnsupportedVersion", true],
  ["a server of 3.1.1 with return code 2", 5, [0x20, 2, 0, 2], "ClientIdentifierRejected", true],
  ["a server of 3.1.1 with return code 3", 5, [0x20, 2, 0, 3], "ConnectionRefused", false],
  ["a server of 3.1.1 with return code 4", 5, [0x20, 2, 0, 4], "BadCredentials", true],
  ["a server of 3.1.1 with return code 5", 5, [0x20, 2, 0, 5], "NotAuthorized", true],
  ["a server that takes MQTT 5 for 3.1.1", 5, [0x20, 2, 0, 0], "UnsupportedVersion", true],
  ["a server that takes MQTT 5 for 3.1.1 and has the session", 5, [0x20, 2, 1, 0], "UnsupportedVersion", true],
  ["a server with 0x84 and no properties", 5, [0x20, 2, 0, 0x84], "UnsupportedVersion", true],
  ["a server with 0x84", 5, [0x20, 3, 0, 0x84, 0], "UnsupportedVersion", true],
  ["a server that only closes", 5, undefined, "ConnectionRefused", false],
  ["a server of MQTT 5 with 0x84", 4, [0x20, 3, 0, 0x84, 0], "UnsupportedVersion", true],
  ["a server of MQTT 5 with 0x84 and no properties", 4, [0x20, 2, 0, 0x84], "UnsupportedVersion", true],
  ["a server of MQTT 5 with 0x87 and words", 4, [0x20, 7, 0, 0x87, 4, 0x1f, 0, 1, 0x78], "NotAuthorized", true],
  ["a server of 3.1.1 with return code 1", 4, [0x20, 2, 0, 1], "UnsupportedVersion", true],
  ["a server that only closes", 4, undefined, "ConnectionRefused", false]
]

describe("a session meets", () => {
  for (const [what, version, answer, tag, permanent] of cases) {
    it.effect(`${what}, on ${version === 4 ? "3.1.1" : "5"}: ${tag}`, () =>
      Effect.gen(function*() {
        const broker = yield* makeBroker("memory")
        yield* broker.inject(connackFault(answer))
        const session = yield* makeSession(broker, {
          protocolVersion: version,
          reconnect: { initialDelay: "2 seconds", jitter: "none", factor: 1 }
        })
        yield* pass(100)
        const { failure, lastError } = yield* session.status
        assert.strictEqual(lastError?.reason._tag, tag, lastError?.message)
        assert.strictEqual(lastError?.isRetryable, !permanent)
        if (permanent) assert.strictEqual((yield* reasonOf(session.awaitReady))._tag, tag)
        else assert.isUndefined(failure)
        yield* pass(59_900, 1000)
        assert.lengthOf(connectsOf(broker), permanent ? 2 : 31)
      }))
  }

  it.effect("a server that only closes: the error says what may be the cause", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      yield* broker.inject(connackFault(undefined))
      const session = yield* makeSession(broker, { protocolVersion: 5, reconnect: { enabled: false } })
      assert.match(
        (yield* reasonOf(session.awaitReady)).message,
        /closed the connection before CONNACK, as some servers do/
      )
    }))
})
