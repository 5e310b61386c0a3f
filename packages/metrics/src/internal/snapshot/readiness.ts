/**
 * The causes that keep a program from doing its work. They are computed from a snapshot, and part of it.
 *
 * A cause names the session, subscription, store, route or forwarder that does not work, and the reason. A new kind of
 * cause gets a function here, and is then part of `/readyz`, of the live page and of the metrics.
 */
import type { MqttSnapshot, Problem, UnreadyCause } from "./schema.ts"

type Parts = Pick<MqttSnapshot, "sessions" | "routes" | "forwarders">

/** All causes; when there are none, the program is ready. */
export const causesOf = (parts: Parts): ReadonlyArray<UnreadyCause> => [
  ...sessionCauses(parts),
  ...storeCauses(parts),
  ...subscriptionCauses(parts),
  ...consumerCauses(parts),
  ...routeCauses(parts),
  ...forwarderCauses(parts)
]

const sessionCauses = ({ sessions }: Parts): ReadonlyArray<UnreadyCause> =>
  sessions.filter(({ ready }) => !ready).map((session): UnreadyCause => {
    const { failure, lastError, name, server, since, state } = session
    const { message, reason } = state === "connected"
      ? { reason: "Subscribing", message: "its subscriptions are not in force yet" }
      : failure ?? lastError ?? { reason: "NotConnected", message: `it is ${state}` }
    return { kind: "session", name, session: name, reason, message, state, since, server }
  })

const storeCauses = ({ sessions }: Parts): ReadonlyArray<UnreadyCause> =>
  sessions.flatMap(({ name, storage }): ReadonlyArray<UnreadyCause> =>
    storage?.failure === undefined ? [] : [{ kind: "store", name, session: name, ...storage.failure }]
  )

const subscriptionCauses = ({ sessions }: Parts): ReadonlyArray<UnreadyCause> =>
  sessions.flatMap(({ name, subscriptionFailures }) =>
    subscriptionFailures.map(({ error, filter }): UnreadyCause => ({
      kind: "subscription",
      name: filter,
      session: name,
      ...error
    }))
  )

const consumerCauses = ({ sessions }: Parts): ReadonlyArray<UnreadyCause> =>
  sessions.flatMap(({ absentConsumers, name: session }) =>
    absentConsumers.map(({ name, unfinished }): UnreadyCause => ({
      kind: "consumer",
      name,
      session,
      reason: "ConsumerAbsent",
      message: `${unfinished} message${unfinished === 1 ? " waits" : "s wait"} for it, unacknowledged`
    }))
  )

const notInForce: Problem = { reason: "Subscribing", message: "its subscription is not in force yet" }

/** The connected sessions: a session without a connection is a cause of its own. */
const connected = ({ sessions }: Parts): ReadonlySet<string> =>
  new Set(sessions.filter(({ state }) => state === "connected").map(({ name }) => name))

const routeCauses = (parts: Parts): ReadonlyArray<UnreadyCause> => {
  const present = connected(parts)
  return parts.routes.flatMap(({ failure, name, session, sessions }): ReadonlyArray<UnreadyCause> => {
    if (failure !== undefined) {
      return [{ kind: "route", name, ...(session === undefined ? undefined : { session }), ...failure }]
    }
    return sessions.flatMap((membership): ReadonlyArray<UnreadyCause> => {
      const why = membership.error ??
        (membership.state === "joining" && present.has(membership.name) ? notInForce : undefined)
      return why === undefined ? [] : [{ kind: "route", name, session: membership.name, ...why }]
    })
  })
}

const forwarderCauses = (parts: Parts): ReadonlyArray<UnreadyCause> => {
  const present = connected(parts)
  return parts.forwarders.flatMap(({ name, sources, state, targets }): ReadonlyArray<UnreadyCause> => {
    if (state !== "running") return []
    const causes = (what: string, sessions: typeof sources): ReadonlyArray<UnreadyCause> =>
      sessions.flatMap((membership): ReadonlyArray<UnreadyCause> => {
        const cause = (why: Problem): ReadonlyArray<UnreadyCause> => [
          { kind: "forwarder", name, session: membership.name, ...why }
        ]
        if (membership.state === "missing") {
          return cause({
            reason: "SessionNotFound",
            message: `there is no session ${JSON.stringify(membership.name)}, ${what}`
          })
        }
        if (membership.error !== undefined) return cause(membership.error)
        return membership.state === "joining" && present.has(membership.name) ? cause(notInForce) : []
      })
    return [...causes("a source", sources), ...causes("a target", targets)]
  })
}
