/**
 * A viewer without a browser: the server-sent events over real HTTP.
 */
import { Effect, Queue, type Scope } from "effect"
import { Sse } from "effect/encoding"
import type { PageEvent, PageHello, PageSnapshot } from "../src/internal/page/model.ts"

export type Told =
  | { readonly type: "hello"; readonly data: PageHello }
  | { readonly type: "snapshot"; readonly data: PageSnapshot }
  | { readonly type: "event"; readonly data: PageEvent }

export interface Viewer {
  /** The next of a type; others in between are skipped. */
  readonly next: <T extends Told["type"]>(type: T) => Effect.Effect<Extract<Told, { readonly type: T }>["data"]>
  /** Succeeds when the server has ended the stream. */
  readonly end: Effect.Effect<void>
}

export const view = (url: string): Effect.Effect<Viewer, never, Scope.Scope> =>
  Effect.gen(function*() {
    const controller = yield* Effect.acquireRelease(
      Effect.sync(() => new AbortController()),
      (controller) => Effect.sync(() => controller.abort())
    )
    const queue = yield* Queue.unbounded<Told | { readonly type: "end" }>()
    const response = yield* Effect.promise(() => fetch(url, { signal: controller.signal }))
    const parser = Sse.makeParser((event) => {
      if (event._tag === "Event") {
        Queue.offerUnsafe(queue, { type: event.event, data: JSON.parse(event.data) } as Told)
      }
    })
    const read = async (): Promise<void> => {
      const decoder = new TextDecoder()
      for await (const chunk of response.body!) parser.feed(decoder.decode(chunk, { stream: true }))
    }
    const ended = (): void => {
      Queue.offerUnsafe(queue, { type: "end" })
    }
    void read().then(ended, ended)
    const next = (type: string): Effect.Effect<unknown> =>
      Effect.flatMap(Queue.take(queue), (told) =>
        told.type === type
          ? Effect.succeed("data" in told ? told.data : undefined)
          : told.type === "end"
          ? Effect.die(new Error(`the stream ended before the next ${type}`))
          : next(type))
    return { next: next as Viewer["next"], end: Effect.asVoid(next("end")) }
  })
