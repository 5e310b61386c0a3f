/**
 * The topic filters that forwarders have subscribed to, and what they leave behind: subscriptions that no forwarder has
 * any more, and messages that wait for a forwarder that is gone. `runtime.ts` asks it after each change of forwarders.
 */
import type { Session } from "@effect-mqttx/core/MqttSession"
import type * as SessionManager from "@effect-mqttx/core/SessionManager"
import * as Effect from "effect/Effect"
import type { Configuration } from "./configuration.ts"

/** The names of consumers that forwarders have at durable sessions. */
const consumerPrefix = "forwarder "

export class ForwarderFilters {
  readonly #manager: SessionManager.SessionManager["Service"]
  /** The filters that forwarders have subscribed to and may have left, by session. */
  readonly #filters = new Map<string, Set<string>>()

  constructor(manager: SessionManager.SessionManager["Service"]) {
    this.#manager = manager
  }

  /** Remembers the filters of a session: its store may know forwarders of an earlier process, with other filters. */
  note(name: string, session: Session): Effect.Effect<void> {
    return Effect.map(session.consumers, (consumers) => {
      const known = this.#of(name)
      for (const { filters } of consumers) for (const filter of filters) known.add(filter)
    })
  }

  /** Remembers what forwarders are subscribed to now. */
  noteAll(sessions: Iterable<string>): Effect.Effect<void> {
    return this.#each(sessions, (name, session) => this.note(name, session))
  }

  /** A forwarder that the file does not have would keep its messages, and hold back all others. */
  forget(sessions: Iterable<string>, { forwarders }: Configuration): Effect.Effect<void> {
    return this.#each(sessions, (name, session) =>
      Effect.gen(function*() {
        for (const consumer of yield* session.consumers) {
          if (!consumer.isAbsent || !consumer.name.startsWith(consumerPrefix)) continue
          const plan = forwarders.get(consumer.name.slice(consumerPrefix.length))
          if (plan === undefined || !plan.options.sources.includes(name)) yield* session.forgetConsumer(consumer.name)
        }
      }))
  }

  /** Ends the subscriptions that no forwarder has any more. */
  tidy(sessions: Iterable<string>): Effect.Effect<void> {
    return this.#each(sessions, (name, session) =>
      Effect.gen({ self: this }, function*() {
        const used = new Set((yield* session.consumers).flatMap(({ filters }) => filters))
        const known = this.#of(name)
        for (const filter of Array.from(known).filter((each) => !used.has(each))) {
          yield* Effect.ignore(session.unsubscribe(filter))
          known.delete(filter)
        }
      }))
  }

  #of(session: string): Set<string> {
    let filters = this.#filters.get(session)
    if (filters === undefined) this.#filters.set(session, filters = new Set())
    return filters
  }

  /** A session that is missing now is left out. */
  #each(
    names: Iterable<string>,
    work: (name: string, session: Session) => Effect.Effect<void>
  ): Effect.Effect<void> {
    return Effect.forEach(names, (name) =>
      Effect.matchEffect(this.#manager.get(name), {
        onFailure: () => Effect.void,
        onSuccess: (session) => work(name, session)
      }), { discard: true })
  }
}
