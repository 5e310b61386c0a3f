/** The last events, the newest one first. */
import type { PageEvent } from "../src/internal/page/model.ts"
import { byId, element, icon, setText } from "./dom.ts"
import { time } from "./format.ts"

const maximum = 100

const makeItem = (event: PageEvent): HTMLElement =>
  element(
    "li",
    { "data-level": event.level },
    element("time", { datetime: new Date(event.at).toISOString() }, time(event.at)),
    icon(event.level),
    element("span", { class: "who" }, event.session),
    element("span", { class: "what" }, event.type),
    element("span", { class: "text" }, event.text)
  )

export interface Events {
  readonly reset: (events: ReadonlyArray<PageEvent>) => void
  readonly add: (event: PageEvent) => void
}

export const makeEvents = (): Events => {
  const list = byId("events")
  const settle = (): void => {
    while (list.childElementCount > maximum) list.lastElementChild!.remove()
    byId("events-empty").hidden = list.childElementCount > 0
    setText(byId("events-count"), list.childElementCount === 0 ? "" : `newest first`)
  }
  return {
    reset: (events) => {
      list.replaceChildren(...events.slice(-maximum).map(makeItem).reverse())
      settle()
    },
    add: (event) => {
      list.prepend(makeItem(event))
      settle()
    }
  }
}
