/**
 * Empty places for the stores of one run.
 */
import { RedisServer } from "@effect-mqttx/testing"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Setup, setups } from "./contract.ts"

const directory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "storage-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** An empty place for one run. */
export const placeOf = (setup: Setup): Effect.Effect<string, never, Scope.Scope> =>
  setups[setup].engine === "LevelDB"
    ? directory
    : Effect.map(
      Effect.orDie(
        RedisServer.make(setups[setup].sync ? { appendonly: true, appendfsync: "always" } : { appendonly: false })
      ),
      (redis) => redis.url
    )
