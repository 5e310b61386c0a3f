/** The server-sent events, for as long as the page is open. */
import type { PageEvent, PageHello, PageSnapshot } from "../src/internal/page/model.ts"

export interface Listener {
  readonly hello: (hello: PageHello) => void
  readonly snapshot: (snapshot: PageSnapshot) => void
  readonly event: (event: PageEvent) => void
  readonly lost: () => void
}

/**
 * An EventSource connects again by itself after a lost connection, but not after an answer that it does not like, such
 * as the 503 of a server that has enough viewers.
 */
export const startFeed = (url: string, listener: Listener): void => {
  const source = new EventSource(url)
  const on = <A>(type: string, handle: (value: A) => void): void => {
    source.addEventListener(type, (event) => handle(JSON.parse((event as MessageEvent<string>).data) as A))
  }
  on("hello", listener.hello)
  on("snapshot", listener.snapshot)
  on("event", listener.event)
  source.addEventListener("error", () => {
    listener.lost()
    if (source.readyState === EventSource.CLOSED) setTimeout(() => startFeed(url, listener), 2000)
  })
}
