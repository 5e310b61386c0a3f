/** The table of forwarders: how far they lag, and what became of the messages. */
import type { PageForwarder } from "../src/internal/page/model.ts"
import { byId, element, keyedRows, type Row, setAttribute, setText } from "./dom.ts"
import { count, duration, exact, rate } from "./format.ts"
import { makeFigure, makeState, urgency } from "./sessions.ts"

const makeFates = () => {
  const bar = element("div", { "class": "fates", "aria-hidden": "true" })
  const list = element("div", { class: "fate-list" })
  const update = ({ fates }: PageForwarder): void => {
    const all = fates.reduce((total, fate) => total + fate.count, 0)
    bar.replaceChildren(...fates.map((fate) => {
      const part = element("i", { class: `fate-${fate.kind}` })
      part.style.width = `${fate.count / all * 100}%`
      return part
    }))
    list.replaceChildren(
      ...fates.map((fate) =>
        element(
          "span",
          { class: `fate-${fate.kind}`, title: exact(fate.count) },
          element("b", {}, count(fate.count)),
          ` ${fate.name}`
        )
      )
    )
  }
  return { root: element("td", { role: "cell" }, bar, list), update }
}

const makeRow = (): Row<PageForwarder> => {
  const state = makeState()
  const name = element("div", { class: "name" })
  const [reason, explanation] = [element("b"), element("span")]
  const why = element("div", { class: "why" }, reason, " ", explanation)
  const fates = makeFates()
  const [forwarded, received, inflight, lag] = [
    makeFigure("Forwarded"),
    makeFigure("Received"),
    makeFigure("In flight"),
    makeFigure("Lag")
  ]
  const root = element(
    "tr",
    { role: "row" },
    element("td", { role: "cell" }, state.root),
    element("td", { role: "cell" }, name, why),
    fates.root,
    ...[forwarded, received, inflight, lag].map((figure) => figure.root)
  )
  return {
    root,
    update: (forwarder) => {
      const { level } = forwarder
      setAttribute(root, "data-level", level)
      state.update(level, forwarder.state)
      setText(name, forwarder.name)
      why.hidden = forwarder.why === undefined
      if (forwarder.why !== undefined) {
        setText(reason, forwarder.why.reason)
        setText(explanation, forwarder.why.message)
      }
      fates.update(forwarder)
      forwarded.update(`${rate(forwarder.rate)}/s`)
      received.update(count(forwarder.received), "", exact(forwarder.received))
      inflight.update(count(forwarder.inflight))
      lag.update(forwarder.lag === 0 ? "none" : duration(forwarder.lag))
    }
  }
}

export const makeForwarders = (): (forwarders: ReadonlyArray<PageForwarder>) => void => {
  const rows = keyedRows<PageForwarder>(byId("forwarders"), ({ name }) => name, makeRow)
  return (forwarders) => {
    byId("forwarders-card").hidden = forwarders.length === 0
    const running = forwarders.filter(({ level }) => level === "good").length
    setText(byId("forwarders-count"), `${exact(running)} of ${exact(forwarders.length)} at work`)
    rows([...forwarders].sort((a, b) => urgency[a.level] - urgency[b.level] || a.name.localeCompare(b.name)))
  }
}
