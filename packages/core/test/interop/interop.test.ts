/**
 * Sessions against servers of other vendors, over every network and in both versions. `npm run interop` runs it.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { readFileSync } from "node:fs"
import { openSession } from "../../../../test/support/anySession.ts"
import { type Options, subscribe } from "../session/behaviourWorld.ts"
import { type Feature, features, networks, refusalOf, type Row, rows, serverNames, table } from "./cells.ts"
import { missing, type Running, servers } from "./servers.ts"

class Server extends Context.Service<Server, Running>()("interop/Server") {}

let sessions = 0

/** The outcome of a feature: passed, or the tag of the reason with which it failed. */
const outcome = <A, R>(effect: Effect.Effect<A, MqttError, R>): Effect.Effect<string, never, R> =>
  Effect.match(effect, { onFailure: ({ reason }) => reason._tag, onSuccess: () => "passed" })

const cell = (running: Running, { serverLimits, version }: Row, network: typeof networks[number]) =>
  Effect.gen(function*() {
    const id = `interop${++sessions}x${process.pid}`
    const { ca, client } = running.certificates
    const options: Options<never> = {
      protocolVersion: version,
      username: running.username,
      password: running.password,
      // A cell passes on its first connection, or not at all.
      reconnect: { enabled: false },
      serverLimits,
      ...(network === "tcp" || network === "ws"
        ? undefined
        : { tls: network === "mtls" ? { ca, ...client } : { ca } })
    }
    const open = (name: string) =>
      openSession<never>({ name: `${id}${name}`, servers: [running.urls[network]], ...options })
    const session = yield* open("a")
    const connected = yield* outcome(session.awaitReady)
    if (connected !== "passed") return connected
    const exchange = (qos: 0 | 1 | 2) =>
      Effect.scoped(Effect.gen(function*() {
        const messages = yield* subscribe(session, `${id}/${qos}/+`, { qos })
        yield* session.publish(`${id}/${qos}/t`, `été ${qos}`, { qos })
        const message = yield* Effect.orDie(messages.next)
        assert.deepStrictEqual([message.topic, message.text, message.qos], [`${id}/${qos}/t`, `été ${qos}`, qos])
      }))
    const away = { ...options, name: `${id}b`, servers: [running.urls[network]], clientId: `${id}away` }
    const found: Record<Feature, Effect.Effect<string>> = {
      "QoS 0": outcome(exchange(0)),
      "QoS 1": outcome(exchange(1)),
      "QoS 2": outcome(exchange(2)),
      "retained": outcome(Effect.scoped(Effect.gen(function*() {
        yield* session.publish(`${id}/r`, "kept", { qos: 1, retain: true })
        const messages = yield* subscribe(session, `${id}/r`, { qos: 1 })
        const message = yield* Effect.orDie(messages.next)
        assert.deepStrictEqual([message.text, message.retain], ["kept", true])
        yield* session.publish(`${id}/r`, "", { qos: 1, retain: true })
      }))),
      "offline": outcome(
        Effect.gen(function*() {
          const life = openSession<"durable">({ ...away, persistence: "durable" })
          yield* Effect.scoped(Effect.gen(function*() {
            const first = yield* life
            yield* first.awaitReady
            yield* first.subscription(`${id}/o`, { qos: 1, keep: true })
          }))
          for (const text of ["1", "2", "3"]) yield* session.publish(`${id}/o`, text, { qos: 1 })
          yield* Effect.scoped(Effect.gen(function*() {
            const second = yield* life
            const messages = yield* subscribe(second, `${id}/o`, { qos: 1, keep: true })
            const texts = (yield* Effect.orDie(messages.take(3))).map(({ text }) => text)
            assert.sameMembers(texts as Array<string>, ["1", "2", "3"])
            yield* second.unsubscribe(`${id}/o`)
          }))
        }).pipe(Effect.provide(SessionStore.layerMemory))
      )
    }
    const results: Partial<Record<Feature, string>> = {}
    for (const feature of features) results[feature] = yield* found[feature]
    return results
  }).pipe(Effect.scoped)

describe.each(serverNames)("%s", (name) => {
  const absent = missing(name)
  if (absent !== undefined) {
    it.skip(`all networks and versions (${absent})`, () => {})
    return
  }
  layer(Layer.effect(Server, Effect.orDie(servers[name])), { excludeTestServices: true, timeout: "120 seconds" })(
    "is spoken to",
    (it) => {
      for (const row of rows.filter(({ server }) => server === name)) {
        for (const network of networks) {
          it.effect(`in MQTT ${row.version === 4 ? "3.1.1" : "5"} over ${network}`, () =>
            Effect.gen(function*() {
              const expected = refusalOf(row, network) ??
                Object.fromEntries(
                  features.map((feature) => [feature, row.without?.[feature]?.reason ?? "passed"])
                )
              assert.deepStrictEqual(yield* cell(yield* Server, row, network), expected)
            }), 180_000)
        }
      }
    }
  )
})

it("docs/interop.md has the table of what is expected here", () => {
  const page = readFileSync(new URL("../../../../docs/interop.md", import.meta.url), "utf8")
  assert.include(page, table())
})
