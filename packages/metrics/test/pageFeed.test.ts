/**
 * What viewers are told, without HTTP: here a test decides when a viewer takes more.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import * as PageFeed from "../src/internal/page/feed.ts"
import type { PageHello, PageSnapshot } from "../src/internal/page/model.ts"
import * as Scripted from "./scriptedMetrics.ts"

const options: PageFeed.PageFeedOptions = {
  title: "",
  interval: Duration.seconds(1),
  points: 10,
  maximumViewers: 2,
  viewerTimeout: Duration.seconds(30)
}

const makeFeed = Effect.gen(function*() {
  const metrics = yield* Scripted.make(Scripted.everything([Scripted.session("plant")]))
  const context = yield* Layer.build(Layer.provide(PageFeed.layer(options), metrics.layer))
  return { metrics, feed: Context.get(context, PageFeed.PageFeed) }
})

/** Takes what there is for a viewer, or waits for something. */
const viewer = Effect.fnUntraced(function*(feed: PageFeed.PageFeed["Service"]) {
  const pull = yield* Stream.toPull((yield* feed.view(() => {}))!)
  return { frames: pull, take: Effect.map(pull, (frames) => frames.map(parse)) }
})

const parse = (frame: Uint8Array): { readonly type: string | undefined; readonly data: unknown } => {
  const text = new TextDecoder().decode(frame)
  const data = /^data: (.*)$/m.exec(text)?.[1]
  return { type: /^event: (.*)$/m.exec(text)?.[1], data: data === undefined ? undefined : JSON.parse(data) }
}

const tick = (metrics: Scripted.ScriptedMetrics): Effect.Effect<void> => {
  metrics.snapshot = { ...metrics.snapshot, at: metrics.snapshot.at + 1000 }
  return metrics.tick
}

const emit = (metrics: Scripted.ScriptedMetrics, at: number): Effect.Effect<void> =>
  metrics.emit({ _tag: "Added", session: "plant", at })

describe("the feed of the page", () => {
  it.effect("a viewer that is slow misses snapshots, but no event, and is then up to date", () =>
    Effect.gen(function*() {
      const { feed, metrics } = yield* makeFeed
      const [fast, slow] = [yield* viewer(feed), yield* viewer(feed)]
      yield* fast.take
      yield* slow.take
      for (let step = 0; step < 50; step++) {
        if (step < 3) {
          yield* emit(metrics, step)
          yield* fast.take
        }
        yield* tick(metrics)
        yield* fast.take
      }
      const told = yield* slow.take
      assert.deepStrictEqual(told.map(({ type }) => type), ["event", "event", "event", "snapshot"])
      assert.strictEqual((told.at(-1)!.data as PageSnapshot).at, metrics.snapshot.at)
    }))

  it.effect("keeps a hundred events, even if a reader is slow", () =>
    Effect.gen(function*() {
      const { feed, metrics } = yield* makeFeed
      const [fast, slow] = [yield* viewer(feed), yield* viewer(feed)]
      yield* fast.take
      yield* slow.take
      for (let at = 0; at < 250; at++) {
        yield* emit(metrics, at)
        yield* fast.take
      }
      const told = yield* slow.take
      assert.deepStrictEqual(
        told.map(({ data }) => (data as { readonly at: number }).at),
        Array.from({ length: 100 }, (_, index) => 150 + index)
      )
    }))

  it.effect("what several pages get is encoded once", () =>
    Effect.gen(function*() {
      const { feed, metrics } = yield* makeFeed
      const [one, other] = [yield* viewer(feed), yield* viewer(feed)]
      assert.isTrue((yield* one.frames).at(-1) === (yield* other.frames).at(-1))
      yield* tick(metrics)
      assert.isTrue((yield* one.frames)[0] === (yield* other.frames)[0])
      yield* emit(metrics, 1)
      assert.isTrue((yield* one.frames)[0] === (yield* other.frames)[0])
    }))

  it.effect("a viewer that comes late sees what the others have seen", () =>
    Effect.gen(function*() {
      const { feed, metrics } = yield* makeFeed
      const early = yield* viewer(feed)
      yield* early.take
      yield* emit(metrics, 1)
      yield* early.take
      for (let step = 0; step < 15; step++) {
        yield* tick(metrics)
        yield* early.take
      }
      const [, hello] = yield* Effect.flatMap(viewer(feed), ({ take }) => take)
      const { events, history, snapshot } = hello!.data as PageHello
      assert.strictEqual(snapshot.at, metrics.snapshot.at)
      assert.strictEqual(history.at.length, options.points)
      assert.strictEqual(history.at.at(-1), metrics.snapshot.at)
      assert.deepStrictEqual(events.map(({ at }) => at), [1])
    }))

  it.effect("counts viewers by their scopes", () =>
    Effect.gen(function*() {
      const { feed } = yield* makeFeed
      const scope = yield* Scope.make()
      yield* feed.view(() => {})
      assert.isDefined(yield* Scope.provide(feed.view(() => {}), scope))
      assert.isUndefined(yield* Effect.scoped(feed.view(() => {})))
      yield* Scope.close(scope, Exit.void)
      assert.isDefined(yield* feed.view(() => {}))
    }))

  it.effect("its end is the end of all streams, those that wait too", () =>
    Effect.gen(function*() {
      const { feed } = yield* makeFeed
      const waiting = yield* Effect.forkChild(Stream.runDrain((yield* feed.view(() => {}))!), {
        startImmediately: true
      })
      yield* feed.end
      yield* Stream.runDrain((yield* feed.view(() => {}))!)
      yield* Fiber.join(waiting)
    }))
})
