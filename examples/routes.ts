/**
 * Filters, transformers and failures of routes, a pool of workers, and sessions by tenant:
 * `tsc -b examples && node examples/dist/routes.js`.
 *
 * The broker is embedded; set MQTT_URL to use another one.
 */
import { RouteFilter, RouteTransformer, SessionManager, SessionMap, SessionPool } from "@effect-mqttx/core"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Option, Schedule, Stream } from "effect"

/** Readings of the plant, cleaned up and stored; what cannot be stored is kept in a topic of its own. */
const storing = Effect.gen(function*() {
  const manager = yield* SessionManager.SessionManager
  const route = yield* manager.handle(
    "sensors/#",
    (message) =>
      message.text.includes("NaN")
        ? Effect.fail(`cannot store ${message.text}`)
        : Effect.log(`stored ${message.topic} = ${message.text}`),
    {
      qos: 1,
      filter: RouteFilter.and(
        RouteFilter.topic("sensors/+/temperature"),
        RouteFilter.not(RouteFilter.topicExpression(/test-bench/))
      ),
      transform: RouteTransformer.compose(
        RouteTransformer.topic("sensors/+/temperature", "storage/{1}/temp"),
        RouteTransformer.json("unit", "celsius")
      ),
      retry: Schedule.recurs(2),
      onFailure: { deadLetter: "dead/readings" },
      description: "readings to the storage"
    }
  )
  const letters = yield* manager.listener("dead/#", { qos: 1 })
  yield* Effect.forkScoped(Stream.runForEach(letters.messages, (message) => Effect.log(`dead letter: ${message.text}`)))
  yield* manager.awaitAllReady()
  yield* Effect.all([route.active, letters.active])

  const publish = (topic: string, payload: string) => manager.publishTo("plant", topic, payload, { qos: 1 })
  yield* publish("sensors/room1/temperature", `{"value":23.5}`)
  yield* publish("sensors/test-bench/temperature", `{"value":1000}`)
  yield* publish("sensors/room2/temperature", `{"value":"NaN"}`)
  yield* publish("sensors/room3/temperature", "garbled")
  yield* Effect.sleep("200 millis")
  const { delivered, dropped, failures, received } = yield* route.metrics
  yield* Effect.log(
    `${route.description}: ${received} received, ${dropped} dropped, ${delivered} delivered, ${failures} failed`
  )
})

/** Jobs that four sessions share: each goes to one of them. */
const working = Effect.fnUntraced(function*(url: string) {
  const workers = yield* SessionPool.make({ name: "workers", size: 4, servers: [url] })
  const route = yield* workers.handle("jobs/#", (job) => Effect.log(`${job.session} works on ${job.text}`), { qos: 1 })
  yield* route.active
  for (let job = 1; job <= 4; job++) yield* workers.publish(`jobs/${job}`, `job ${job}`, { qos: 1 })
  yield* Effect.sleep("200 millis")
})

/** A session for each tenant, opened when it is needed and closed when it is not. */
const serving = Effect.fnUntraced(function*(url: string) {
  const tenants = yield* SessionMap.make({
    lookup: (tenant: string) => ({ name: tenant, servers: [url] }),
    idleTimeToLive: "50 millis"
  })
  yield* tenants.use("acme", (session) => session.publish("acme/hello", "world", { qos: 1 }))
  yield* Effect.log(`open now: ${(yield* tenants.open).join()}`)
  yield* Effect.sleep("200 millis")
  yield* Effect.log(`open a little later: ${(yield* tenants.open).length}`)
})

const main = Effect.gen(function*() {
  const given = yield* Config.option(Config.String("MQTT_URL"))
  const url = Option.isSome(given) ? given.value : (yield* ScriptedBroker.make()).url
  const layer = SessionManager.layer({ sessions: [{ name: "plant", servers: [url] }] })
  yield* storing.pipe(Effect.scoped, Effect.provide(layer))
  yield* Effect.scoped(working(url))
  yield* Effect.scoped(serving(url))
})

NodeRuntime.runMain(Effect.scoped(main))
