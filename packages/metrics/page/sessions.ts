/** The table of sessions: what is down comes first. */
import type { PageSession } from "../src/internal/page/model.ts"
import { lineOf, scaleOf, spanOf } from "./curve.ts"
import { byId, drawing, element, keyedRows, type Row, setAttribute, setText } from "./dom.ts"
import { age, count, exact, plural, queue, rate } from "./format.ts"
import type { Past } from "./past.ts"
import { causesOf, type Level, lostOf, stateOf } from "./verdict.ts"

/** More rows than anyone reads would only make the page slow. */
const maximumRows = 100
/** What wants attention comes first. */
export const urgency: Readonly<Record<Level, number>> = { bad: 0, warning: 1, waiting: 2, good: 3, off: 4 }

interface View {
  readonly session: PageSession
  readonly past: Past
  readonly now: number
}

/** A state in colour, icon and words. */
export const makeState = () => {
  const use = drawing("use")
  const text = element("span")
  const root = element(
    "span",
    { class: "state" },
    drawing("svg", { "viewBox": "0 0 20 20", "aria-hidden": "true" }, use),
    text
  )
  const update = (level: Level, words: string): void => {
    setAttribute(root, "data-level", level)
    setAttribute(use, "href", `#icon-${level}`)
    setText(text, words)
  }
  return { root, update }
}

/** A cell with a figure and a smaller second line. */
export const makeFigure = (label: string) => {
  const value = element("span")
  const note = element("small")
  const root = element("td", { "role": "cell", "class": "number", "data-label": label }, value, note)
  const update = (text: string, smaller = "", title = ""): void => {
    setText(value, text)
    setText(note, smaller)
    note.hidden = smaller === ""
    setAttribute(root, "title", title)
  }
  return { root, value, update }
}

const makeSpark = () => {
  const [received, sent] = [
    drawing("path", { class: "curve series-received" }),
    drawing("path", { class: "curve dashed series-sent" })
  ]
  const svg = drawing("svg", { class: "spark", role: "img" }, received, sent)
  const update = (name: string, past: Past): void => {
    const series = past.sessions.get(name)
    const width = svg.clientWidth
    if (series === undefined || width === 0) return
    const height = svg.clientHeight
    const highest = Math.max(1, ...series.received, ...series.sent)
    const frame = { left: 1, right: width - 1, top: 2, bottom: height - 2 }
    const scale = scaleOf(frame, spanOf(past.at), highest)
    setAttribute(svg, "viewBox", `0 0 ${width} ${height}`)
    setAttribute(received, "d", lineOf(past.at, series.received, scale, 3.5 * past.interval))
    setAttribute(sent, "d", lineOf(past.at, series.sent, scale, 3.5 * past.interval))
    setAttribute(svg, "aria-label", `At most ${rate(highest)} messages per second in the last minutes`)
  }
  return { svg, update }
}

const makeRow = (): Row<View> => {
  const state = makeState()
  const since = element("small")
  const name = element("div", { class: "name" })
  const server = element("div", { class: "server" })
  const [reason, explanation] = [element("b"), element("span")]
  const why = element("div", { class: "why" }, reason, " ", explanation)
  const spark = makeSpark()
  const [received, sent, inflight, queued, reconnects, lost] = [
    makeFigure("Received"),
    makeFigure("Sent"),
    makeFigure("In flight"),
    makeFigure("Queued"),
    makeFigure("Reconnects"),
    makeFigure("Lost")
  ]
  const root = element(
    "tr",
    { role: "row" },
    element("td", { role: "cell" }, state.root, since),
    element("td", { role: "cell" }, name, server, why),
    element("td", { "role": "cell", "class": "plot", "data-label": "Last minutes" }, spark.svg),
    ...[received, sent, inflight, queued, reconnects, lost].map((figure) => figure.root)
  )
  return {
    root,
    update: ({ now, past, session }) => {
      const { level, text } = stateOf(session)
      setAttribute(root, "data-level", level)
      state.update(level, text)
      setText(since, age(now - session.since))
      setText(name, session.name)
      setText(server, session.server ?? "no server yet")
      why.hidden = session.why === undefined || level === "good"
      if (session.why !== undefined) {
        setText(reason, session.why.reason)
        const attempt = session.attempt > 0 ? `, attempt ${exact(session.attempt)}` : ""
        setText(explanation, session.why.message + attempt)
      }
      spark.update(session.name, past)
      received.update(`${rate(session.rates.received)}/s`, count(session.received), exact(session.received))
      sent.update(`${rate(session.rates.sent)}/s`, count(session.sent), exact(session.sent))
      inflight.update(count(session.inflight))
      queued.update(count(session.queued), queue(session))
      reconnects.update(count(session.reconnects))
      const messages = lostOf(session)
      lost.update(count(messages), "", causesOf(session))
      lost.root.classList.toggle("lossy", messages > 0)
    }
  }
}

/** The table; the answer shows what there is now. */
export const makeSessions = (): (sessions: ReadonlyArray<PageSession>, past: Past, now: number) => void => {
  const body = byId("sessions")
  const rows = keyedRows<View>(body, ({ session }) => session.name, makeRow)
  const filter = byId<HTMLInputElement>("sessions-filter")
  const more = element("tr", { class: "more", role: "row" }, element("td", { role: "cell", colspan: "9" }))
  let again = (): void => {}
  filter.addEventListener("input", () => again())

  return (sessions, past, now) => {
    again = () => {
      const wanted = filter.value.trim().toLowerCase()
      const matching = sessions
        .filter(({ name, server = "" }) => `${name}\n${server}`.toLowerCase().includes(wanted))
        .map((session) => ({ session, past, now, order: urgency[stateOf(session).level] }))
        .sort((a, b) => a.order - b.order || a.session.name.localeCompare(b.session.name))
      more.remove()
      rows(matching.slice(0, maximumRows))
      if (matching.length > maximumRows) {
        setText(
          more.firstElementChild!,
          `${plural(matching.length - maximumRows, "session")} more: filter to see them.`
        )
        body.append(more)
      }
      const ready = sessions.filter((session) => session.ready).length
      setText(byId("sessions-count"), sessions.length === 0 ? "" : `${exact(ready)} of ${exact(sessions.length)} ready`)
      byId("sessions-search").hidden = sessions.length < 8 && wanted === ""
      const empty = byId("sessions-empty")
      empty.hidden = matching.length > 0
      setText(empty, sessions.length === 0 ? "There is no session yet." : "No session matches.")
    }
    again()
  }
}
