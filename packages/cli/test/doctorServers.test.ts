/**
 * `effect-mqttx doctor` as a process, against servers of other vendors. `npm run interop` runs it.
 */
import { Cli } from "@effect-mqttx/cli"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { missing, servers } from "../../core/test/interop/servers.ts"
import { abilities, examine } from "./support/doctor.ts"

const { exitCodes } = Cli

interface Expected {
  readonly version: "5" | "3.1.1" | undefined
  readonly lacks: ReadonlyArray<string>
}

// Without -V, doctor goes on with MQTT 3.1.1 where the server has nothing else.
const expected = {
  aedes: [{ version: undefined, lacks: ["shared"] }, { version: "3.1.1", lacks: ["shared", "identifiers"] }],
  "RabbitMQ": [
    { version: undefined, lacks: ["mqtt5", "qos2", "shared", "identifiers"] },
    { version: "3.1.1", lacks: ["qos2", "shared", "identifiers"] }
  ],
  "NATS": [
    { version: undefined, lacks: ["mqtt5", "qos2", "shared", "identifiers"] },
    { version: "3.1.1", lacks: ["qos2", "shared", "identifiers"] }
  ],
  ejabberd: [{ version: undefined, lacks: ["shared"] }, { version: "3.1.1", lacks: ["shared", "identifiers"] }]
} satisfies Readonly<Record<string, ReadonlyArray<Expected>>>

for (const name of ["aedes", "RabbitMQ", "NATS", "ejabberd"] as const) {
  const absent = missing(name)
  describe.skipIf(absent !== undefined)(`effect-mqttx doctor${absent === undefined ? "" : ` (${absent})`}`, () => {
    it.live(`says what ${name} lacks, and tries the rest`, () =>
      Effect.gen(function*() {
        const { password, urls, username } = yield* servers[name]
        const user = username === undefined ? [] : ["-u", username, "-P", password!]
        for (const network of ["tcp", "ws"] as const) {
          for (const { lacks, version } of expected[name]) {
            const report = yield* examine(urls[network], ...user, ...version === undefined ? [] : ["-V", version])
            assert.deepStrictEqual(report.statuses, {
              dns: "ok",
              tcp: "ok",
              ...(network === "ws" && { websocket: "ok" }),
              connect: "ok",
              ...abilities,
              ...Object.fromEntries(lacks.map((each) => [each, "no"]))
            })
            assert.strictEqual(report.code, exitCodes.done)
            if (lacks.includes("qos2")) assert.include(report.of("qos2").advice, "maximumQoS = 1")
          }
        }
      }).pipe(Effect.scoped), 180_000)
  })
}
