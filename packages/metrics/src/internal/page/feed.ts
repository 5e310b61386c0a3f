/**
 * The server-sent events of the live page: one producer for all viewers.
 *
 * A snapshot is taken for each interval, for the plots. It becomes JSON at most once, when the first viewer needs it. A
 * viewer has no queue: it remembers its position, and when its connection accepts more, it gets the events since then,
 * as far as they are kept, and the latest snapshot. A slow viewer therefore misses snapshots, and costs no more memory
 * than a fast one. A viewer that reads nothing for a while is cut off.
 */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { MqttMetrics } from "../../MqttMetrics.ts"
import type { MqttSnapshot } from "../snapshot/schema.ts"
import { pageEvent } from "./event.ts"
import { History } from "./history.ts"
import type { PageEvent, PageHello, PageSnapshot } from "./model.ts"
import { pageSnapshot } from "./snapshot.ts"

export interface PageFeedOptions {
  readonly title: string
  readonly interval: Duration.Duration
  /** The number of snapshots that the plots show. */
  readonly points: number
  /** The number of viewers at the same time. */
  readonly maximumViewers: number
  /** How long a viewer may leave waiting data unread. */
  readonly viewerTimeout: Duration.Duration
}

/** The number of events that are kept for new viewers. */
const keptEvents = 100

const encoder = new TextEncoder()

/** One server-sent event; JSON has no line breaks of its own. */
const frame = (type: "hello" | "snapshot" | "event", data: unknown): Uint8Array =>
  encoder.encode(`event: ${type}\ndata: ${JSON.stringify(data)}\n\n`)

/** After a lost connection the browser retries each second. */
const retry = encoder.encode("retry: 1000\n\n")

interface KeptEvent {
  readonly event: PageEvent
  frame: Uint8Array | undefined
}

type Frames = Arr.NonEmptyReadonlyArray<Uint8Array>

interface Viewer {
  /** The viewer has received everything. */
  isUpToDate: boolean
  /** When the viewer last asked for more, in milliseconds of a monotonic clock. */
  askedAt: number
  isCut: boolean
  readonly cut: () => void
}

class Feed {
  readonly #options: PageFeedOptions
  readonly #interval: number
  readonly #history: History
  readonly #waiting = new Set<() => void>()
  #before: MqttSnapshot | undefined
  #latest: PageSnapshot | undefined
  /** The number of snapshots so far. */
  #ticks = 0
  #snapshotFrame: Uint8Array | undefined
  #helloFrame: Uint8Array | undefined
  #events: Array<KeptEvent> = []
  /** The number of events so far. */
  #count = 0
  readonly #viewers = new Set<Viewer>()
  #ended = false
  readonly #now: () => number

  constructor(options: PageFeedOptions, interval: number, now: () => number) {
    this.#options = options
    this.#interval = interval
    this.#now = now
    this.#history = new History(options.points)
  }

  snapshot(snapshot: MqttSnapshot): void {
    this.#latest = pageSnapshot(snapshot, this.#before)
    // The first snapshot has no rates.
    if (this.#before !== undefined) this.#history.push(this.#latest)
    this.#before = snapshot
    this.#ticks++
    this.#snapshotFrame = undefined
    this.#helloFrame = undefined
    this.#cutDeaf()
    this.#wake()
  }

  event(event: PageEvent): void {
    this.#events.push({ event, frame: undefined })
    // Cut only occasionally: shifting the array for each event would cost more.
    if (this.#events.length >= 2 * keptEvents) this.#events = this.#events.slice(-keptEvents)
    this.#count++
    this.#helloFrame = undefined
    this.#wake()
  }

  end(): void {
    this.#ended = true
    this.#wake()
  }

  /** Undefined when the maximum number of viewers is reached. */
  enter(cut: () => void): Viewer | undefined {
    if (this.#viewers.size >= this.#options.maximumViewers) return undefined
    const viewer: Viewer = { isUpToDate: false, askedAt: this.#now(), isCut: false, cut }
    this.#viewers.add(viewer)
    return viewer
  }

  leave(viewer: Viewer): void {
    this.#viewers.delete(viewer)
  }

  /** The frames for a viewer. */
  framesFor(viewer: Viewer): Stream.Stream<Uint8Array> {
    return Stream.fromPull(Effect.sync(() => {
      let seen = { ticks: 0, count: 0 }
      const pull: Effect.Effect<Frames, Cause.Done> = Effect.suspend(() => {
        if (this.#ended || viewer.isCut) return Cause.done()
        viewer.askedAt = this.#now()
        const isNews = seen.ticks !== this.#ticks || seen.count !== this.#count
        const frames = isNews ? this.#framesSince(seen) : undefined
        viewer.isUpToDate = frames === undefined
        if (frames === undefined) return Effect.andThen(this.#change, pull)
        seen = { ticks: this.#ticks, count: this.#count }
        return Effect.succeed(frames)
      })
      return pull
    }))
  }

  /** Ends the connections of viewers that do not read, to free their places. */
  #cutDeaf(): void {
    const patience = Duration.toMillis(this.#options.viewerTimeout)
    const now = this.#now()
    for (const viewer of this.#viewers) {
      if (viewer.isUpToDate || now - viewer.askedAt <= patience) continue
      this.#viewers.delete(viewer)
      viewer.isCut = true
      viewer.cut()
    }
  }

  #framesSince({ count, ticks }: { readonly count: number; readonly ticks: number }): Frames | undefined {
    if (this.#latest === undefined) return undefined
    if (ticks === 0) return [retry, this.#helloFrame ??= frame("hello", this.#hello(this.#latest))]
    const missed = Math.min(this.#count - count, keptEvents)
    const frames = missed === 0
      ? []
      : this.#events.slice(-missed).map((kept) => kept.frame ??= frame("event", kept.event))
    if (ticks !== this.#ticks) frames.push(this.#snapshotFrame ??= frame("snapshot", this.#latest))
    return frames as ReadonlyArray<Uint8Array> as Frames
  }

  #hello(snapshot: PageSnapshot): PageHello {
    return {
      title: this.#options.title,
      interval: this.#interval,
      points: this.#options.points,
      snapshot,
      history: this.#history.past,
      events: this.#events.slice(-keptEvents).map(({ event }) => event)
    }
  }

  get #change(): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const wake = (): void => resume(Effect.void)
      this.#waiting.add(wake)
      return Effect.sync(() => this.#waiting.delete(wake))
    })
  }

  #wake(): void {
    const waiting = Array.from(this.#waiting)
    this.#waiting.clear()
    for (const wake of waiting) wake()
  }
}

/**
 * The operations that the routes of the page need.
 */
export class PageFeed extends Context.Service<PageFeed, {
  /**
   * The server-sent events of a viewer for as long as the scope is open; undefined when there are too many viewers.
   * `cut` is called when the viewer reads none of them for too long, and must end its connection.
   */
  readonly view: (cut: () => void) => Effect.Effect<Stream.Stream<Uint8Array> | undefined, never, Scope.Scope>
  /** Ends the streams of all current and future viewers. */
  readonly end: Effect.Effect<void>
}>()("@effect-mqttx/metrics/internal/page/PageFeed") {}

/** Takes snapshots and collects events for as long as the scope is open. Without viewers it does nothing else. */
export const layer = (options: PageFeedOptions): Layer.Layer<PageFeed, never, MqttMetrics> =>
  Layer.effect(
    PageFeed,
    Effect.gen(function*() {
      const metrics = yield* MqttMetrics
      const clock = yield* Clock.Clock
      const now = (): number => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000
      const feed = new Feed(options, Duration.toMillis(options.interval), now)
      yield* Effect.addFinalizer(() => Effect.sync(() => feed.end()))
      yield* metrics.changes(options.interval).pipe(
        Stream.runForEach((snapshot) => Effect.sync(() => feed.snapshot(snapshot))),
        Effect.forkScoped
      )
      yield* metrics.events.pipe(
        Stream.runForEach((event) =>
          Effect.sync(() => {
            const described = pageEvent(event)
            if (described !== undefined) feed.event(described)
          })
        ),
        Effect.forkScoped({ startImmediately: true })
      )
      return PageFeed.of({
        view: (cut) =>
          Effect.acquireRelease(
            Effect.sync(() => feed.enter(cut)),
            (viewer) => Effect.sync(() => viewer && feed.leave(viewer))
          ).pipe(Effect.map((viewer) => viewer && feed.framesFor(viewer))),
        end: Effect.sync(() => feed.end())
      })
    })
  )
