/**
 * Jobs that several workers share, each done once: `tsc -b examples && node examples/dist/worker-pool.js`.
 *
 * The workers are sessions of a pool with a shared subscription: the server gives each message to one of them. A job is
 * acknowledged when its handler has succeeded, so that a job whose handler fails once is done all the same. Replicas of
 * this program share the work in the same way. The broker is embedded; set MQTT_URL to use another one.
 */
import { SessionPool } from "@effect-mqttx/core"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { NodeRuntime } from "@effect/platform-node"
import { Config, Deferred, Effect, Option, Ref, Schedule } from "effect"

const count = 200

const main = Effect.gen(function*() {
  const given = yield* Config.option(Config.String("MQTT_URL"))
  const url = Option.isSome(given) ? given.value : (yield* ScriptedBroker.make()).url
  const workers = yield* SessionPool.make({ name: "workers", size: 4, servers: [url] })

  const failures = yield* Ref.make(0)
  const done = new Map<string, string>()
  const finished = yield* Deferred.make<void>()
  const route = yield* workers.handle(
    "jobs/#",
    (job) =>
      Effect.gen(function*() {
        if (job.text === "13" && (yield* Ref.getAndUpdate(failures, (n) => n + 1)) === 0) {
          return yield* Effect.fail("the machine was busy")
        }
        done.set(job.text, job.session)
        if (done.size === count) yield* Deferred.succeed(finished, undefined)
      }),
    { qos: 1, retry: Schedule.spaced("20 millis") }
  )
  yield* route.active

  yield* Effect.forEach(
    Array.from({ length: count }, (_, job) => `${job}`),
    (job) => workers.publish(`jobs/${job}`, job, { qos: 1 }),
    { concurrency: 20, discard: true }
  )
  yield* Deferred.await(finished)

  const shares = new Map<string, number>()
  for (const worker of done.values()) shares.set(worker, (shares.get(worker) ?? 0) + 1)
  for (const [worker, jobs] of [...shares].sort()) yield* Effect.log(`${worker} did ${jobs} jobs`)
  yield* Effect.log(`${done.size} jobs are done, one of them at the second attempt`)
  if (shares.size < 2) yield* Effect.die("the jobs were not shared")
}).pipe(Effect.timeout("30 seconds"), Effect.scoped)

NodeRuntime.runMain(main)
