/**
 * What a session promises, whatever server and network it has: one suite for every environment.
 */
import { layer } from "@effect/vitest"
import { Effect, Layer, type Scope } from "effect"
import { acknowledging } from "./behaviourAcknowledging.ts"
import { consuming } from "./behaviourConsuming.ts"
import { ending } from "./behaviourEnding.ts"
import { lifecycle } from "./behaviourLifecycle.ts"
import { persistence } from "./behaviourPersistence.ts"
import { publishing } from "./behaviourPublishing.ts"
import { reconnecting } from "./behaviourReconnecting.ts"
import { sharing } from "./behaviourSharing.ts"
import { subscribing } from "./behaviourSubscribing.ts"
import { tls } from "./behaviourTls.ts"
import { make, type Server, type World } from "./behaviourWorld.ts"

/**
 * A server of one kind, spoken to in one version over one network.
 */
export interface Environment {
  readonly name: string
  readonly version: 4 | 5
  readonly server: Layer.Layer<Server, unknown>
  /** Run its tests side by side: they wait more than they work. */
  readonly concurrent?: boolean
  /** Why the whole environment cannot run here. */
  readonly missing?: string | undefined
  /** Tests, by their names, that cannot pass here, and why. */
  readonly skip: Readonly<Record<string, string>>
}

export type Define = (
  name: string,
  body: (world: World) => Effect.Effect<void, unknown, Scope.Scope>
) => void

const parts: ReadonlyArray<(test: Define) => void> = [
  lifecycle,
  publishing,
  subscribing,
  sharing,
  acknowledging,
  ending,
  consuming,
  reconnecting,
  persistence,
  tls
]

/**
 * The names of all tests.
 */
export const names: ReadonlyArray<string> = parts.flatMap((part) => {
  const found: Array<string> = []
  part((name) => found.push(name))
  return found
})

export const behaviour = (environment: Environment): void =>
  layer(environment.missing === undefined ? environment.server : Layer.empty as never, {
    excludeTestServices: true,
    timeout: "60 seconds",
    concurrent: environment.concurrent ?? false
  })(environment.name, (it) => {
    for (const part of parts) {
      part((name, body) => {
        const reason = environment.missing ?? environment.skip[name]
        if (reason !== undefined) return it.skip(`${name} (${reason})`, () => {})
        it.effect(name, () => Effect.flatMap(make(environment.version, environment.server), body), 90_000)
      })
    }
  })
