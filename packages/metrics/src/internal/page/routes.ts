/**
 * The HTTP routes of the live page and its events.
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Layer from "effect/Layer"
import { makeHostGuard } from "../http/hostGuard.ts"
import { contentSecurityPolicy, html } from "./assets.ts"
import { PageFeed } from "./feed.ts"

const headers = {
  "cache-control": "no-store",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff"
}

const eventsBelow = (path: string): HttpRouter.PathInput =>
  `/${[...path.split("/"), "events"].filter((part) => part !== "").join("/")}`

/** The URL of the events, relative to the page, so that the page also works behind a proxy that adds a prefix. */
const relativeEvents = (path: string): string => {
  const last = path.slice(path.lastIndexOf("/") + 1)
  return last === "" ? "events" : `${last}/events`
}

const page = (path: string): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(html.replace("<body>", `<body data-events="${encodeURI(relativeEvents(path))}">`), {
    contentType: "text/html; charset=utf-8",
    headers: { ...headers, "content-security-policy": contentSecurityPolicy }
  })

const events = Effect.gen(function*() {
  const feed = yield* PageFeed
  // The fiber of the request also writes the answer, so its interruption ends the connection, whatever it waits for.
  const request = yield* Effect.withFiber(Effect.succeed)
  const frames = yield* feed.view(() => request.interruptUnsafe())
  return frames === undefined
    ? HttpServerResponse.text("too many viewers\n", { status: 503, headers: { ...headers, "retry-after": "5" } })
    : HttpServerResponse.stream(frames, {
      contentType: "text/event-stream",
      headers: { ...headers, "x-accel-buffering": "no" }
    })
})

export const layer = (
  path: HttpRouter.PathInput,
  allowedHosts: ReadonlyArray<string>
): Layer.Layer<never, never, HttpRouter.HttpRouter | PageFeed> =>
  HttpRouter.use((router) =>
    Effect.gen(function*() {
      const feed = yield* PageFeed
      const guard = yield* makeHostGuard(allowedHosts)
      yield* router.add("GET", path, guard(Effect.succeed(page(path))))
      yield* router.add("GET", eventsBelow(path), guard(Effect.provideService(events, PageFeed, feed)))
    })
  )
