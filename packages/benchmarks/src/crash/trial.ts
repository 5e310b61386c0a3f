/**
 * What the trials share: where records are kept, what is published, and how connections, processes and servers come to
 * their ends.
 */
import type { QoS } from "@effect-mqttx/core/QoS"
import { PostgresServer, type RealServer, RedisServer, type ScriptedBroker } from "@effect-mqttx/testing"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { payloadOf, topicOf } from "./payload.ts"
import type { StoreName } from "./stores.ts"
import type { Verdict } from "./verdict.ts"
import type { Victim } from "./victim.ts"

export interface Trial {
  readonly store: StoreName
  readonly qos: QoS
  readonly rounds: number
  readonly seed: number
}

export interface Outcome extends Verdict {
  readonly kills: number
  readonly serverKills: number
  readonly cuts: number
}

/** Where records are kept, and how the thing that keeps them is killed. */
export interface Keeper {
  readonly place: string
  readonly crash: Effect.Effect<boolean>
}

const directory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "crash-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** A server as a keeper, and how it is killed. */
const served = (
  { kill, start, url }: {
    readonly url: string
    readonly kill: Effect.Effect<void>
    readonly start: Effect.Effect<void, RealServer.BrokerUnavailable>
  }
): Keeper => ({ place: url, crash: kill.pipe(Effect.andThen(start), Effect.orDie, Effect.as(true)) })

// The harness ends programs, and not the machine: the syncs of PostgreSQL would only take time.
const postgres = PostgresServer.make({ settings: { fsync: "off" } })

export const keeper = (store: StoreName): Effect.Effect<Keeper, never, Scope.Scope> => {
  switch (store) {
    case "sql":
      return Effect.map(Effect.orDie(postgres), served)
    case "redis":
      return Effect.map(Effect.orDie(RedisServer.make({ appendonly: true, appendfsync: "always" })), served)
    default:
      return Effect.map(directory, (place) => ({ place, crash: Effect.succeed(false) }))
  }
}

const between = (minimum: number, maximum: number): Effect.Effect<number> => Random.nextIntBetween(minimum, maximum)

/** Every fourth round, in its midst. */
const maybeCrash = Effect.fnUntraced(function*({ crash }: Keeper) {
  if ((yield* between(0, 4)) > 0) return false
  yield* Effect.sleep(yield* between(10, 100))
  return yield* crash
})

export interface Killing {
  /** Ends when a process has begun what it is killed in. Default: with its first report. */
  readonly begun?: (victim: Victim) => Effect.Effect<void, Error>
  readonly meanwhile?: Effect.Effect<unknown>
}

/**
 * Starts one process after the other and kills each a moment after it has begun; `meanwhile` goes on while it lives.
 *
 * Answers how often the server of the store was killed too.
 */
export const killAgainAndAgain = Effect.fnUntraced(function*(
  { rounds }: Trial,
  kept: Keeper,
  start: Effect.Effect<Victim, never, Scope.Scope>,
  { begun = ({ reported }) => reported, meanwhile = Effect.void }: Killing = {}
): Effect.fn.Return<number, Error> {
  let serverKills = 0
  for (let round = 0; round < rounds; round++) {
    yield* Effect.scoped(Effect.gen(function*() {
      const victim = yield* start
      const working = yield* Effect.forkChild(meanwhile)
      yield* begun(victim)
      const crashing = yield* Effect.forkChild(maybeCrash(kept))
      yield* Effect.sleep(yield* between(1, 300))
      yield* victim.kill
      yield* Fiber.interrupt(working)
      if (yield* Fiber.join(crashing)) serverKills++
    }))
  }
  return serverKills
})

/** What a broker publishes by itself. */
export interface Feed {
  readonly published: ReadonlySet<number>
  /** Publishes some, again and again, while not too many wait. */
  readonly flow: Effect.Effect<unknown>
}

/**
 * Messages that may wait in the broker. Without a bound, a slow machine gets more to do, because more is published
 * while its processes start, and what is left over takes minutes at the end.
 */
const longestQueue = 400

export const makeFeed = (
  broker: ScriptedBroker.Service,
  { qos, seed }: Trial,
  pause: Duration.Input = "15 millis"
): Feed => {
  const published = new Set<number>()
  const publishSome = Effect.gen(function*() {
    if (broker.sessions.some(({ queued }) => queued >= longestQueue)) return
    for (let i = yield* between(1, 40); i > 0; i--) {
      const number = published.size
      published.add(number)
      yield* broker.publish(topicOf("feed", number), payloadOf(seed, number), { qos })
    }
  })
  return { published, flow: Effect.repeat(publishSome, Schedule.spaced(pause)) }
}

/** Cuts the connection of a broker's only client at random times. */
export interface Cutter {
  readonly cuts: () => number
  readonly stop: Effect.Effect<void>
}

/** By time: what is redelivered after a cut may be more packets than a cut by their number would ever let through. */
export const cutAtRandomTimes = Effect.fnUntraced(function*(
  broker: ScriptedBroker.Service
): Effect.fn.Return<Cutter, never, Scope.Scope> {
  let cuts = 0
  const cutting = yield* Effect.forkScoped(Effect.forever(Effect.gen(function*() {
    yield* Effect.sleep(yield* between(20, 200))
    const { connection } = broker.sessions[0] ?? {}
    if (connection === undefined) return
    yield* broker.cut(connection)
    cuts++
  })))
  return { cuts: () => cuts, stop: Fiber.interrupt(cutting) }
})

// So long a machine with much other work may take from the start of the last process to its first message.
const quietSeconds = 60

/**
 * Waits until all has come, and then a second more for what comes twice; or until nothing has come for a minute.
 */
export const settled = Effect.fnUntraced(function*(
  arrived: () => number,
  isComplete: () => boolean
): Effect.fn.Return<void> {
  let before = -1
  for (let quiet = 0; quiet < quietSeconds;) {
    yield* Effect.sleep("1 second")
    quiet = arrived() === before ? quiet + 1 : 0
    before = arrived()
    if (quiet > 0 && isComplete()) return
  }
})
