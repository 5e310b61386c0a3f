/**
 * Logs what a running forwarder cannot do: which of its sessions are missing, and which messages were lost. The
 * sessions log their own events and the failures of subscriptions.
 *
 * One fiber for each forwarder checks this periodically. Nothing is done for a single message.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { SessionLogOptions } from "../../SessionLog.ts"
import { firstPauseOf, isSilent } from "../session/eventLog.ts"
import { Pace } from "../session/pace.ts"
import type { Counters } from "./counters.ts"

export interface WatchOptions {
  readonly forwarder: string
  /** The names of its sessions that the manager does not have. */
  readonly missing: () => ReadonlyArray<string>
  /** Emits for each session that is added or removed. */
  readonly changes: Stream.Stream<unknown>
  readonly counters: Counters
  readonly settings: SessionLogOptions
}

/** A program may make its forwarders before its sessions. Milliseconds. */
const grace = 5000

export const watch = (options: WatchOptions): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    if (isSilent(options.settings)) return
    const firstPause = firstPauseOf(options.settings)
    const now = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1_000_000)
    yield* Effect.forkScoped(watchSessions(options, now, firstPause), { startImmediately: true })
    const losses = new Losses(options, firstPause)
    // The last report: what was counted and not logged yet.
    yield* Effect.addFinalizer(() => Effect.flatMap(now, (at) => losses.log(losses.takeAll(at))))
    yield* Effect.forkScoped(
      Effect.flatMap(now, (at) => losses.log(losses.take(at))).pipe(
        Effect.delay(firstPause),
        Effect.forever({ disableYield: true })
      )
    )
  })

const event = "SessionsMissing"

const watchSessions = Effect.fnUntraced(function*(
  { changes, forwarder, missing }: WatchOptions,
  now: Effect.Effect<number>,
  firstPause: number
): Effect.fn.Return<never, never, Scope.Scope> {
  const changed = yield* Queue.sliding<void>(1)
  yield* Effect.forkScoped(Stream.runForEach(changes, () => Queue.offer(changed, undefined)), {
    startImmediately: true
  })
  let pace = new Pace(firstPause)
  let logged = ""
  while (true) {
    const names = missing().join(", ")
    if (names === "") {
      if (logged !== "") yield* log(Effect.logInfo("the forwarder has all its sessions"), forwarder, { event })
      logged = ""
      pace = new Pace(firstPause)
      yield* Queue.take(changed)
      continue
    }
    // Names that were logged are logged again at the pace. Others are logged after a short delay in which they may
    // appear.
    yield* Effect.raceFirst(Queue.take(changed), Effect.sleep(logged === names ? firstPause : grace))
    if (missing().join(", ") !== names) continue
    if (pace.note(yield* now) === 0 && logged === names) continue
    logged = names
    yield* log(Effect.logWarning("the forwarder misses sessions, and does not work without them"), forwarder, {
      event,
      missing: missing()
    })
  }
})

/** Losses of a forwarder that no other part logs. */
class Losses {
  readonly #options: WatchOptions
  readonly #pace: Pace
  #seen: number
  #logged: Counts

  constructor(options: WatchOptions, firstPause: number) {
    this.#options = options
    this.#pace = new Pace(firstPause)
    this.#logged = countsOf(options.counters)
    this.#seen = totalOf(this.#logged)
  }

  /** The number of losses to log now. */
  take(now: number): number {
    const total = totalOf(countsOf(this.#options.counters))
    const lost = total - this.#seen
    this.#seen = total
    return lost > 0 ? this.#pace.note(now, lost) : this.#pace.take(now)
  }

  takeAll(now: number): number {
    return this.take(now) + this.#pace.takeAll(now)
  }

  log(count: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (count === 0) return Effect.void
      const { forwarder, counters } = this.#options
      const counts = countsOf(counters)
      const before = this.#logged
      this.#logged = counts
      const reason = counters.lastError?.reason
      return log(
        Effect.logWarning(
          `${count} message${count === 1 ? " was" : "s were"} not forwarded${
            reason === undefined ? "" : `, at last: ${reason.message}`
          }`
        ),
        forwarder,
        {
          event: "MessagesNotForwarded",
          ...(reason === undefined ? undefined : { reason: reason._tag }),
          failed: counts.failed - before.failed,
          deadLettered: counts.deadLettered - before.deadLettered,
          expired: counts.expired - before.expired
        }
      )
    })
  }
}

interface Counts {
  readonly failed: number
  readonly deadLettered: number
  readonly expired: number
}

const countsOf = ({ deadLettered, dropped, failed }: Counters): Counts => ({
  failed,
  deadLettered,
  expired: dropped.expired
})

const totalOf = ({ deadLettered, expired, failed }: Counts): number => failed + deadLettered + expired

const log = (
  line: Effect.Effect<void>,
  forwarder: string,
  annotations: Readonly<Record<string, unknown>>
): Effect.Effect<void> => Effect.annotateLogs(line, { forwarder, ...annotations })
