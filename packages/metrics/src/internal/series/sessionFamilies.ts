/**
 * The metrics of sessions: those of each session, and those of all sessions together.
 */
import type { SessionState } from "@effect-mqttx/core/SessionEvent"
import type { Latencies } from "@effect-mqttx/core/SessionStatus"
import type { MqttSnapshot, SessionSnapshot } from "../snapshot/schema.ts"
import { type Counts, each, type Family, flag, seconds } from "./family.ts"
import { type Measure, measures } from "./measures.ts"

/** The numbers of states, as the gauge `mqtt_session_status` shows them. */
const statusCodes: { readonly [State in SessionState]: number } = {
  disconnected: 0,
  connecting: 1,
  connected: 2,
  reconnecting: 3,
  closed: 4
}

const session = each<SessionSnapshot>("mqtt_session", "session", ({ sessions }) => sessions, ({ name }) => name)

const ofSession = ({ help, key, name, read, type }: Measure): Family =>
  key === undefined
    ? session.one(name, type, help, ({ metrics }) => read(metrics) as number | Latencies | undefined)
    : session.by(name, type, key, help, ({ metrics }) => read(metrics) as Counts)

/** One series for each session, and more where there is a second label. */
export const sessionFamilies: ReadonlyArray<Family> = [
  ...measures.map(ofSession),
  session.one(
    "connected",
    "gauge",
    "1 while there is a connection, otherwise 0.",
    ({ state }) => flag(state === "connected")
  ),
  session.one("ready", "gauge", "1 while it is connected and all its subscriptions are in force, otherwise 0.", (
    { ready }
  ) => flag(ready)),
  session.one(
    "status",
    "gauge",
    "0 disconnected, 1 connecting, 2 connected, 3 reconnecting, 4 closed.",
    ({ state }) => statusCodes[state]
  ),
  {
    name: "mqtt_session_certificate_expiry_seconds",
    type: "gauge",
    help: "Until a certificate of the connection expires, negative afterwards; absent where there is none to read.",
    labels: ["session", "certificate"],
    read: ({ at, sessions }, add) => {
      for (const { connection, name } of sessions) {
        for (const { expiresAt, owner } of connection?.certificates ?? []) add(seconds(expiresAt - at), name, owner)
      }
    }
  },
  session.one(
    "subscriptions_failed",
    "gauge",
    "Filters whose subscription failed.",
    ({ subscriptionFailures }) => subscriptionFailures.length
  ),
  session.one(
    "persistent",
    "gauge",
    "1 when the session outlives its connection, otherwise 0.",
    ({ persistent }) => flag(persistent)
  ),
  session.one(
    "clean_session",
    "gauge",
    "1 when its first connection is a clean start, otherwise 0.",
    ({ cleanSession }) => flag(cleanSession)
  ),
  session.one(
    "auto_reconnect",
    "gauge",
    "1 when it reconnects by itself, otherwise 0.",
    ({ autoReconnect }) => flag(autoReconnect)
  ),
  {
    name: "mqtt_store_commit_duration_seconds",
    type: "histogram",
    help: "Commits to the store of a durable session, from the first attempt to success.",
    labels: ["session"],
    read: ({ stores }, add) => {
      for (const { commits, session } of stores) add(commits, session)
    }
  },
  {
    name: "mqtt_store_commit_failures_total",
    type: "counter",
    help: "Commits that the store refused; each is tried again.",
    labels: ["session"],
    read: ({ stores }, add) => {
      for (const { failures, session } of stores) add(failures, session)
    }
  }
]

/**
 * The same for all sessions together. Counters keep what removed sessions counted.
 */
const ofAll = ({ help, key, name, read, type }: Measure): Family => ({
  name: `mqtt_manager_${key === "cause" ? name.replace("_total", "_by_cause_total") : name}`,
  type,
  help: `${help} All sessions${type === "gauge" ? "" : ", removed ones included"}.`,
  labels: key === undefined ? [] : [key],
  read: ({ totals: { metrics } }, add) => {
    const value = read(metrics)
    if (key === undefined) return add(value as number | Latencies | undefined)
    for (const [label, count] of Object.entries(value as Counts)) add(count, label)
  }
})

/** The certificate of each owner that expires first. */
const firstExpiries = ({ at, sessions }: MqttSnapshot): ReadonlyMap<string, number> => {
  const first = new Map<string, number>()
  for (const { connection } of sessions) {
    for (const { expiresAt, owner } of connection?.certificates ?? []) {
      first.set(owner, Math.min(first.get(owner) ?? Infinity, seconds(expiresAt - at)))
    }
  }
  return first
}

export const totalFamilies: ReadonlyArray<Family> = [
  ...measures.filter(({ isOwn }) => isOwn !== true).map(ofAll),
  {
    name: "mqtt_manager_certificate_expiry_seconds",
    type: "gauge",
    help:
      "Until the first certificate of a connection expires, negative afterwards; absent where there is none to read.",
    labels: ["certificate"],
    read: (snapshot, add) => {
      for (const [owner, expiry] of firstExpiries(snapshot)) add(expiry, owner)
    }
  },
  {
    name: "mqtt_manager_subscriptions_failed",
    type: "gauge",
    help: "Filters whose subscription failed. All sessions.",
    labels: [],
    read: ({ sessions }, add) => add(sessions.reduce((count, each) => count + each.subscriptionFailures.length, 0))
  },
  {
    name: "mqtt_manager_store_commit_duration_seconds",
    type: "histogram",
    help: "Commits to stores, from the first attempt to success. All sessions, removed ones included.",
    labels: [],
    read: ({ totals: { metrics } }, add) => add(metrics.commits.latency)
  },
  {
    name: "mqtt_manager_store_commit_failures_total",
    type: "counter",
    help: "Commits that a store refused; each is tried again. All sessions, removed ones included.",
    labels: [],
    read: ({ totals: { metrics } }, add) => add(metrics.commits.failures)
  }
]
