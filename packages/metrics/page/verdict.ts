/** What an operator wants to know first: is anything lost, and what is wrong. */
import type { PageFate, PageForwarder, PageMetrics, PageSession, PageSnapshot } from "../src/internal/page/model.ts"
import { age, count, exact, plural } from "./format.ts"

export type Level = "good" | "bad" | "warning" | "waiting" | "off"

export interface Verdict {
  readonly level: Level
  readonly title: string
  readonly details: ReadonlyArray<string>
}

export interface StateView {
  readonly level: Level
  readonly text: string
}

/** A session's state in colour, icon and words. */
export const stateOf = (session: PageSession): StateView => {
  switch (session.state) {
    case "connected":
      return session.ready ? { level: "good", text: "Connected" } : { level: "waiting", text: "Subscribing" }
    case "connecting":
      return session.why === undefined
        ? { level: "waiting", text: "Connecting" }
        : { level: "bad", text: session.why.permanent ? "Failed" : "Down" }
    case "reconnecting":
      return { level: "bad", text: session.why?.permanent === true ? "Failed" : "Down" }
    case "disconnected":
      return session.why === undefined ? { level: "off", text: "Disconnected" } : { level: "bad", text: "Failed" }
    case "closed":
      return { level: "off", text: "Closed" }
  }
}

/** How many messages reached nobody. */
export const lostOf = ({ lost }: Pick<PageMetrics, "lost">): number =>
  lost.reduce((total, { count }) => total + count, 0)

/** Why, the most frequent cause first. */
export const causesOf = ({ lost }: Pick<PageMetrics, "lost">): string =>
  lost.map((loss) => `${count(loss.count)} ${loss.cause}`).join(", ")

const fatesOf = (forwarders: ReadonlyArray<PageForwarder>, kind: PageFate["kind"]): number =>
  forwarders.reduce(
    (total, { fates }) => fates.reduce((sum, fate) => fate.kind === kind ? sum + fate.count : sum, total),
    0
  )

const titleOf = (down: ReadonlyArray<{ readonly name: string }>, all: number, what: string): string =>
  down.length === 1
    ? `${down[0]!.name} is down`
    : down.length === all
    ? `All ${all} ${what} are down`
    : `${down.length} of ${all} ${what} are down`

const waiting = (sessions: ReadonlyArray<PageSession>): string => {
  const messages = sessions.reduce((total, { inflight, queued }) => total + queued + inflight, 0)
  return messages === 0 ? "" : `${plural(messages, "message")} ${messages === 1 ? "waits" : "wait"}. `
}

const losses = ({ forwarders, totals }: PageSnapshot): ReadonlyArray<string> => {
  const [lost, failed, aside] = [lostOf(totals), fatesOf(forwarders, "lost"), fatesOf(forwarders, "aside")]
  const found: Array<string> = []
  if (lost > 0) found.push(`${plural(lost, "message")} lost: ${causesOf(totals)}`)
  if (failed > 0) found.push(`${plural(failed, "message")} not forwarded, see the forwarders`)
  if (aside > 0) found.push(`${plural(aside, "message")} at dead-letter topics`)
  return found
}

const downVerdict = (
  snapshot: PageSnapshot,
  down: ReadonlyArray<PageSession>,
  halted: ReadonlyArray<PageForwarder>
) => {
  const { at, forwarders, sessions } = snapshot
  const title = down.length > 0
    ? titleOf(down, sessions.length, "sessions")
    : titleOf(halted, forwarders.length, "forwarders")
  const details = down.slice(0, 3).map(({ name, since, why }) => {
    const subject = down.length === 1 ? "" : `${name}: `
    return `${subject}${why === undefined ? "" : `${why.reason}, `}since ${age(at - since)}.`
  })
  if (down.length > 3) details.push(`${count(down.length - 3)} more, see below.`)
  const lost = losses(snapshot)
  return {
    level: "bad" as const,
    title,
    details: [...details, ...(lost.length > 0 ? lost : [`${waiting(sessions)}Nothing is lost so far.`])]
  }
}

/** Sessions are well, but what stands on them does not work. */
const unreadyVerdict = (snapshot: PageSnapshot): Verdict => {
  const { causeCount, causes } = snapshot
  const details = causes.slice(0, 3).map(({ reason, session, what }) =>
    `${causeCount === 1 ? "" : `${what}: `}${reason}${session === undefined ? "" : ` at ${session}`}.`
  )
  if (causeCount > 3) details.push(`${count(causeCount - 3)} more, see below.`)
  return {
    level: "bad",
    title: causeCount === 1 ? `${causes[0]!.what} does not work` : `${count(causeCount)} parts do not work`,
    details: [...details, ...losses(snapshot)]
  }
}

const goodVerdict = ({ sessions, totals }: PageSnapshot): Verdict => {
  const open = sessions.filter((session) => stateOf(session).level !== "off")
  if (open.length === 0) {
    return { level: "off", title: "Nothing lost", details: ["Every session is disconnected, as it was asked to be."] }
  }
  const coming = open.filter((session) => !session.ready)
  if (coming.length > 0) {
    const title = coming.length === 1
      ? `${coming[0]!.name} is connecting`
      : `${exact(coming.length)} sessions are connecting`
    return { level: "waiting", title, details: ["Nothing is lost."] }
  }
  const subject = open.length === 1
    ? `${open[0]!.name} is`
    : open.length === 2
    ? "Both sessions are"
    : `All ${exact(open.length)} sessions are`
  const replaced = totals.replaced === 0 ? "" : `, ${count(totals.replaced)} replaced by newer ones in the queue`
  const figures = `${count(totals.received)} messages received, ${count(totals.sent)} sent${replaced}.`
  return { level: "good", title: "Nothing lost", details: [`${subject} connected. ${figures}`] }
}

export const verdictOf = (snapshot: PageSnapshot): Verdict => {
  const { forwarders, sessions } = snapshot
  const down = sessions.filter((session) => stateOf(session).level === "bad")
  const halted = forwarders.filter(({ level }) => level === "bad")
  if (down.length > 0 || halted.length > 0) return downVerdict(snapshot, down, halted)
  if (snapshot.causeCount > 0) return unreadyVerdict(snapshot)
  const lost = losses(snapshot)
  if (lost.length > 0) return { level: "warning", title: lost[0]!, details: lost.slice(1) }
  if (sessions.length === 0) return { level: "waiting", title: "No session yet", details: [] }
  return goodVerdict(snapshot)
}
