/** The figures of all sessions together. */
import type { PageSnapshot } from "../src/internal/page/model.ts"
import { element, setAttribute, setText } from "./dom.ts"
import { count, duration, exact, plural, queue, rate } from "./format.ts"
import { causesOf, type Level, lostOf, stateOf } from "./verdict.ts"

interface Tile {
  readonly value: string
  readonly note: string
  readonly level?: Level
}

const tiles: ReadonlyArray<readonly [label: string, of: (snapshot: PageSnapshot) => Tile]> = [
  ["Sessions ready", ({ sessions }) => {
    const ready = sessions.filter((session) => session.ready).length
    const down = sessions.filter((session) => stateOf(session).level === "bad").length
    return {
      value: `${exact(ready)} of ${exact(sessions.length)}`,
      note: down > 0 ? `${exact(down)} down` : "none down",
      level: down > 0 ? "bad" : "good"
    }
  }],
  [
    "Received",
    ({ totals }) => ({ value: `${rate(totals.rates.received)}/s`, note: `${count(totals.received)} in all` })
  ],
  ["Sent", ({ totals }) => ({ value: `${rate(totals.rates.sent)}/s`, note: `${count(totals.sent)} in all` })],
  ["In flight", ({ totals }) => ({ value: count(totals.inflight), note: "unacknowledged" })],
  ["Queued", ({ totals }) => ({ value: count(totals.queued), note: queue(totals) || "nothing" })],
  ["Reconnects", ({ totals }) => ({ value: count(totals.reconnects), note: plural(totals.errors, "error") })],
  ["Acknowledged in", ({ totals: { acknowledged } }) =>
    acknowledged === undefined
      ? { value: "–", note: "nothing yet" }
      : { value: duration(acknowledged.half), note: `99 % within ${duration(acknowledged.most)}` }],
  ["Lost", ({ totals }) => {
    const lost = lostOf(totals)
    return lost === 0
      ? { value: "0", note: "nothing" }
      : { value: count(lost), note: causesOf(totals), level: "warning" }
  }]
]

export const makeTiles = (parent: Element): (snapshot: PageSnapshot) => void => {
  const made = tiles.map(([label, of]) => {
    const value = element("dd")
    const note = element("dd", { class: "note" })
    const root = element("div", {}, element("dt", {}, label), value, note)
    const update = (snapshot: PageSnapshot): void => {
      const tile = of(snapshot)
      setAttribute(root, "data-level", tile.level ?? "")
      setText(value, tile.value)
      setText(note, tile.note)
      setAttribute(note, "title", tile.note)
    }
    return { root, update }
  })
  parent.replaceChildren(...made.map(({ root }) => root))
  return (snapshot) => {
    for (const { update } of made) update(snapshot)
  }
}
