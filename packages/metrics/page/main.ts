/** The live page: what the server tells, shown. */
import type { PageSnapshot } from "../src/internal/page/model.ts"
import { makeCauses } from "./causes.ts"
import { byId, element, setAttribute, setText } from "./dom.ts"
import { makeEvents } from "./events.ts"
import { startFeed } from "./feed.ts"
import { time } from "./format.ts"
import { makeForwarders } from "./forwarders.ts"
import { makePast, type Past, remember } from "./past.ts"
import { makePlots } from "./plots.ts"
import { makeSessions } from "./sessions.ts"
import { startTheme } from "./theme.ts"
import { makeTiles } from "./tiles.ts"
import { type Level, type Verdict, verdictOf } from "./verdict.ts"

const faviconColours: Readonly<Record<Level, string>> = {
  good: "%230f9d58",
  bad: "%23d92d20",
  warning: "%23dc8a00",
  waiting: "%23778091",
  off: "%23778091"
}

const showVerdict = (verdict: Verdict): void => {
  setAttribute(byId("verdict"), "data-level", verdict.level)
  setAttribute(byId("verdict-icon"), "href", `#icon-${verdict.level}`)
  setText(byId("verdict-title"), verdict.title)
  const details = byId("verdict-details")
  if (Array.from(details.children, (each) => each.textContent).join("\n") !== verdict.details.join("\n")) {
    details.replaceChildren(...verdict.details.map((text) => element("li", {}, text)))
  }
  document.title = `${verdict.title} · effect-mqttx`
  const dot = `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'><circle cx='4' cy='4' r='3.5' fill='${
    faviconColours[verdict.level]
  }'/></svg>`
  setAttribute(byId("icon"), "href", `data:image/svg+xml,${dot}`)
}

/** What is shown is the past, and may be wrong by now. */
const noAnswer = (latest: PageSnapshot | undefined): Verdict => ({
  level: "bad",
  title: "No answer",
  details: [
    latest === undefined
      ? "The process that this page is about does not answer. Trying again."
      : `The process that this page is about does not answer. All figures are those of ${
        time(latest.at)
      }. Trying again.`
  ]
})

const start = (): void => {
  const showTiles = makeTiles(byId("tiles"))
  const showPlots = makePlots(byId("plots"))
  const showSessions = makeSessions()
  const showForwarders = makeForwarders()
  const showCauses = makeCauses()
  const events = makeEvents()
  let past: Past | undefined
  let latest: PageSnapshot | undefined
  let isLive = true
  let announced = ""

  /** A page that nobody sees shows its title and its icon only. */
  const show = (): void => {
    const verdict = isLive ? latest && verdictOf(latest) : noAnswer(latest)
    if (verdict === undefined) return
    showVerdict(verdict)
    // The number of lost messages may change every second: that some are is announced once.
    const news = verdict.level === "warning" ? verdict.level : verdict.title
    if (news !== announced) {
      announced = news
      setText(byId("announcement"), verdict.title)
    }
    if (document.hidden || latest === undefined || past === undefined) return
    showTiles(latest)
    showPlots(past)
    showSessions(latest.sessions, past, latest.at)
    showForwarders(latest.forwarders)
    showCauses(latest)
  }
  const live = (now: boolean): void => {
    isLive = now
    setAttribute(byId("link"), "data-state", isLive ? "live" : "lost")
    setText(byId("link-text"), isLive ? "Live" : "No connection")
    byId("content").classList.toggle("stale", !isLive)
    show()
  }

  document.addEventListener("visibilitychange", show)
  startTheme()
  startFeed(document.body.dataset.events ?? "events", {
    hello: (hello) => {
      past = makePast(hello)
      latest = hello.snapshot
      setText(byId("title"), hello.title)
      events.reset(hello.events)
      live(true)
    },
    snapshot: (snapshot) => {
      latest = snapshot
      if (past !== undefined) remember(past, snapshot)
      show()
    },
    event: events.add,
    lost: () => live(false)
  })
}

start()
