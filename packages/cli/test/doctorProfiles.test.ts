/**
 * `effect-mqttx doctor` as a process, against the test broker with each of its profiles.
 */
import { Cli } from "@effect-mqttx/cli"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { abilities, examine } from "./support/doctor.ts"

const { exitCodes } = Cli

/** What a server of this kind lacks, with a part of the advice. */
interface Expected {
  readonly version: "5" | "3.1.1"
  readonly lacks?: Readonly<Record<string, string>>
}

const withoutMqtt5 = { identifiers: "" }
const qos1 = "QoS 1 at most"
const ownTopics = "topics of its own"

const expected: Readonly<Record<Exclude<ScriptedBroker.ProfileName, "azure-iot-hub">, ReadonlyArray<Expected>>> = {
  "aws-iot": [
    { version: "5", lacks: { qos2: qos1, identifiers: "" } },
    { version: "3.1.1", lacks: { qos2: "maximumQoS = 1", ...withoutMqtt5 } }
  ],
  "azure-event-grid": [
    { version: "5", lacks: { qos2: qos1, retained: "without retain", shared: ownTopics, identifiers: "" } },
    {
      version: "3.1.1",
      lacks: { qos2: "maximumQoS = 1", retained: "without retain", shared: ownTopics, ...withoutMqtt5 }
    }
  ],
  "hivemq-cloud": [{ version: "5" }, { version: "3.1.1", lacks: withoutMqtt5 }],
  emqx: [{ version: "5" }, { version: "3.1.1", lacks: withoutMqtt5 }],
  rabbitmq: [
    { version: "5", lacks: { qos2: qos1, shared: ownTopics } },
    { version: "3.1.1", lacks: { qos2: "maximumQoS = 1", shared: ownTopics, ...withoutMqtt5 } }
  ],
  nats: [{ version: "3.1.1", lacks: withoutMqtt5 }],
  "mosquitto-2.0": [{ version: "5" }, { version: "3.1.1", lacks: withoutMqtt5 }],
  "mosquitto-2.1": [{ version: "5" }, { version: "3.1.1", lacks: withoutMqtt5 }]
}

describe("effect-mqttx doctor says what is lacking, and tries the rest, at a server of the profile", () => {
  for (const [profile, rows] of Object.entries(expected)) {
    for (const { lacks = {}, version } of rows) {
      it.live(`${profile}, with MQTT ${version}`, () =>
        Effect.gen(function*() {
          const { url } = yield* ScriptedBroker.make({ profile: profile as ScriptedBroker.ProfileName })
          const report = yield* examine(url!, "-V", version, "-i", "doctor")
          const lacking = Object.fromEntries(Object.keys(lacks).map((name) => [name, "no"]))
          assert.deepStrictEqual(report.statuses, { dns: "ok", tcp: "ok", connect: "ok", ...abilities, ...lacking })
          for (const [name, advice] of Object.entries(lacks)) assert.include(report.of(name).advice ?? "", advice)
          assert.strictEqual(report.code, exitCodes.done)
        }).pipe(Effect.scoped))
    }
  }
})

describe("effect-mqttx doctor", () => {
  for (const profile of ["nats", "azure-iot-hub"] as const) {
    it.live(`continues with MQTT 3.1.1 at a server without MQTT 5, unless -V asks for MQTT 5: ${profile}`, () =>
      Effect.gen(function*() {
        const { url } = yield* ScriptedBroker.make({ profile })
        const report = yield* examine(url!)
        assert.strictEqual(report.statuses.mqtt5, "no")
        assert.include(report.of("mqtt5").advice, "-V 3.1.1")
        assert.include(report.of("connect").detail, "with MQTT 3.1.1")
        const asked = yield* examine(url!, "-V", "5")
        assert.deepStrictEqual(asked.statuses, { dns: "ok", tcp: "ok", connect: "failed" })
        assert.strictEqual(asked.of("connect").advice, "Try -V 3.1.1.")
        assert.strictEqual(asked.code, exitCodes.refused)
      }).pipe(Effect.scoped))
  }

  it.live("ends where no topic returns a message, as at azure-iot-hub", () =>
    Effect.gen(function*() {
      const { url } = yield* ScriptedBroker.make({ profile: "azure-iot-hub" })
      const report = yield* examine(url!, "-V", "3.1.1")
      assert.deepStrictEqual(report.statuses, { dns: "ok", tcp: "ok", connect: "ok", limits: "ok", qos0: "failed" })
      assert.include(report.of("qos0").advice, "-t")
      assert.strictEqual(report.code, exitCodes.failed)
    }).pipe(Effect.scoped))
})
