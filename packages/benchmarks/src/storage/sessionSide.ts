/**
 * Accepted messages per second of a durable session without a connection.
 */
import { SessionStore } from "@effect-mqttx/core/SessionStore"
import { FileStore } from "@effect-mqttx/store-file"
import { RedisStore } from "@effect-mqttx/store-redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { cpuSince } from "../harness/child.ts"
import { payloadBytes, setups, type SideRequest, type SideResult } from "./contract.ts"
import { durableSession } from "./session.ts"

const storeOf = ({ place, setup }: SideRequest) =>
  setups[setup].engine === "LevelDB"
    ? FileStore.layer({ directory: place, durability: setups[setup].sync ? "fsync" : "os" })
    : RedisStore.layer().pipe(Layer.provide(NodeRedis.layer({ url: place })))

export const measureSession = (request: SideRequest): Promise<SideResult> =>
  measureAccepted(storeOf(request), request.size, request.millis)

/** `publishers` enqueue at the same time for `millis` milliseconds. */
export const measureAccepted = <E>(
  store: Layer.Layer<SessionStore, E>,
  publishers: number,
  millis: number
): Promise<SideResult> => {
  let commits = 0
  let accepted = 0
  const program = Effect.gen(function*() {
    const store = yield* SessionStore
    // The store as it is, with a counter before it.
    const counted: typeof store = {
      open: (name) =>
        Effect.map(store.open(name), (handle) => ({
          ...handle,
          commit: (changes) => {
            commits++
            return handle.commit(changes)
          }
        }))
    }
    const session = yield* durableSession("meter", counted)
    const payload = new Uint8Array(payloadBytes)
    const load = { isRunning: true }
    const options = { qos: 1 } as const
    const publisher = Effect.gen(function*() {
      while (load.isRunning) {
        yield* session.enqueue("meter/energy", payload, options)
        accepted++
      }
    })
    const all = yield* Effect.forkChild(
      Effect.all(Array.from({ length: publishers }, () => publisher), { concurrency: "unbounded", discard: true })
    )
    yield* Effect.sleep(millis / 4)
    const [before, commitsBefore, begin, cpuBefore] = [accepted, commits, performance.now(), process.cpuUsage()]
    yield* Effect.sleep(millis)
    const seconds = (performance.now() - begin) / 1000
    const count = accepted - before
    const cpu = cpuSince(cpuBefore) / count
    const result = { rate: count / seconds, cpu, batch: count / (commits - commitsBefore) }
    load.isRunning = false
    all.interruptUnsafe()
    return result
  })
  return Effect.runPromise(Effect.scoped(program).pipe(Effect.provide(store)))
}
