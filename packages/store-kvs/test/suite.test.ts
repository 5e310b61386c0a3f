import { SessionStoreSuite } from "@effect-mqttx/testing"
import { NodeServices } from "@effect/platform-node"
import { describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { KeyValueStore } from "effect/persistence"
import { another, build, subject } from "./support.ts"

describe("SessionStoreKvs in memory", () => {
  for (const { name, run } of SessionStoreSuite.cases) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const kvs = yield* build(KeyValueStore.layerMemory)
        yield* run(yield* subject(Effect.sync(() => another(kvs))))
      }))
  }
})

describe("SessionStoreKvs in a browser's storage, which holds text", () => {
  for (const { name, run } of SessionStoreSuite.cases) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const items = new Map<string, string>()
        const storage: Storage = {
          get length() {
            return items.size
          },
          clear: () => items.clear(),
          getItem: (key) => items.get(key) ?? null,
          key: (index) => Array.from(items.keys())[index] ?? null,
          removeItem: (key) => void items.delete(key),
          setItem: (key, value) => void items.set(key, value)
        }
        yield* run(yield* subject(build(KeyValueStore.layerStorage(() => storage))))
      }))
  }
})

describe("SessionStoreKvs in files", () => {
  for (const { name, run } of SessionStoreSuite.cases) {
    it.live(name, () =>
      Effect.gen(function*() {
        const directory = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped({ prefix: "mqtt-kvs-" })
        yield* run(yield* subject(build(KeyValueStore.layerFileSystem(directory))))
      }).pipe(Effect.provide(NodeServices.layer)), 180_000)
  }
})
