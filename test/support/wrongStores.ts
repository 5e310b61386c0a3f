/**
 * A session store that is called with wrong values: it refuses them, and goes on with all that it held.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import type { SessionStore } from "@effect-mqttx/core/SessionStore"
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { parameter, shown, type, violationsOf } from "./wrongValues.ts"

const name = type("name", () => "one", (value) => typeof value === "string")
// Sessions make the changes, and no program: what is wrong with them may be a defect, and what is harmless may pass.
const changes = type("changes", () => [])
const origin = { forwarder: "up", session: "plant", packetIdentifier: 1, use: "a" }

/** Calls every function of the store, and of the store of one session. */
export const tryWrongValues = (store: SessionStore["Service"]): Effect.Effect<void, MqttError> =>
  Effect.gen(function*() {
    const violations = [...yield* violationsOf("store.open", "effect", [parameter("name", name)], store.open)]
    const { commit, load } = yield* store.open("one")
    const held = [{ _tag: "Put", record: { _tag: "Origin", origin } }] as const
    yield* commit(held)
    const cases: ReadonlyArray<readonly [string, (value: never) => unknown]> = [
      ["commit", commit],
      ["commit(changes)", (value) => commit([...held, value])],
      ["commit(put)", (value) => commit([{ _tag: "Put", record: value }])],
      ["commit(delete)", (value) => commit([{ _tag: "Delete", key: value }])]
    ]
    for (const [method, call] of cases) {
      violations.push(
        ...yield* violationsOf(
          `store.${method}`,
          "effect",
          [parameter("changes", changes)],
          call,
          () => true
        )
      )
    }
    assert.strictEqual(shown(violations), "")
    assert.deepStrictEqual((yield* load).records, [{ _tag: "Origin", origin }])
  }).pipe(Effect.scoped)
