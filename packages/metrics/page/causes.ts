/** What keeps the program from its work, besides sessions, which the table of sessions shows. */
import type { PageCause, PageSnapshot } from "../src/internal/page/model.ts"
import { byId, element, icon, setText } from "./dom.ts"
import { count } from "./format.ts"

const makeItem = ({ message, reason, session, what }: PageCause): HTMLElement =>
  element(
    "li",
    { "data-level": "bad" },
    icon("bad"),
    element("span", { class: "who" }, session === undefined ? what : `${what} at ${session}`),
    element("span", { class: "what" }, reason),
    element("span", { class: "text" }, message)
  )

export const makeCauses = (): (snapshot: Pick<PageSnapshot, "causes" | "causeCount">) => void => {
  const list = byId("causes")
  let shown = ""
  return ({ causeCount, causes }) => {
    const now = JSON.stringify(causes)
    if (now !== shown) list.replaceChildren(...causes.map(makeItem))
    shown = now
    byId("causes-card").hidden = causes.length === 0
    setText(
      byId("causes-count"),
      causeCount > causes.length ? `the first ${count(causes.length)} of ${count(causeCount)}` : ""
    )
  }
}
