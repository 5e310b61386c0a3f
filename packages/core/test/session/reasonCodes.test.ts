/**
 * Every reason code that a server can put into CONNACK and DISCONNECT, defined there or not: a typed failure, and no
 * storm of attempts.
 */
import * as ReasonCode from "@effect-mqttx/core/ReasonCode"
import * as Fault from "@effect-mqttx/testing/Fault"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { connectsOf, makeBroker, makeSession, pass } from "./support.ts"

const codes = Array.from({ length: 256 }, (_, code) => code)

/** What becomes of default sessions to each of which a server says the same again and again. */
const meet = Effect.fnUntraced(function*(packet: "Connack" | "Disconnect", said: ReadonlyArray<number>) {
  const broker = yield* makeBroker("memory")
  const sessions = yield* Effect.forEach(said, (code) => {
    const clientId = `code-${code}`
    const [first, ...body] = packet === "Connack" ? [0x20, 0, code, 0] : [0xe0, code, 0]
    const bytes = Uint8Array.from([first!, body.length, ...body])
    const match = { direction: "sent", packet: "Connack", clientId } as const
    return Effect.andThen(
      broker.inject(Fault.sendRaw(match, bytes, { instead: packet === "Connack", times: Infinity })),
      makeSession(broker, { clientId, reconnect: undefined })
    )
  })
  yield* pass(60_000, 1000)
  return yield* Effect.forEach(
    sessions,
    (session, index) =>
      Effect.map(session.status, ({ clientId, lastError, state }) => {
        assert.include(["connecting", "reconnecting"], state, clientId)
        assert.isAtLeast(connectsOf(broker, clientId).length, 2, clientId)
        assert.isAtMost(connectsOf(broker, clientId).length, 12, clientId)
        return [said[index]!, lastError!.reason] as const
      })
  )
})

describe("a reason code", () => {
  it.effect("of CONNACK that is not defined there is a violation, and any other a typed refusal", () =>
    Effect.gen(function*() {
      for (const [code, reason] of yield* meet("Connack", codes.slice(1))) {
        if (ReasonCode.isAllowed("Connack", code)) {
          assert.notInclude(["ProtocolViolation", "Unexpected"], reason._tag, `${code}`)
          assert.strictEqual(reason.isRetryable, ReasonCode.isRetryable(code), `${code}`)
        } else {
          assert.deepInclude(reason, { _tag: "ProtocolViolation", reasonCode: 0x82 }, `${code}`)
          assert.include(reason.message, `reason code 0x${code.toString(16)}`)
        }
      }
    }))

  it.effect("of DISCONNECT that a server must not send is a violation, and any other a typed end", () =>
    Effect.gen(function*() {
      for (const [code, reason] of yield* meet("Disconnect", codes)) {
        if (ReasonCode.isAllowed("Disconnect", code) && code !== ReasonCode.disconnectWithWillMessage) {
          assert.include(
            [
              "ConnectionLost",
              "SessionTakenOver",
              "NotAuthorized",
              "BadCredentials",
              "ServerMoved",
              "ProtocolViolation"
            ],
            reason._tag,
            `${code}`
          )
        } else {
          assert.deepInclude(reason, { _tag: "ProtocolViolation", reasonCode: 0x82 }, `${code}`)
          assert.include(reason.message, `reason code 0x${code.toString(16)}`)
        }
      }
    }))
})
