/**
 * What the tab with the session does for the other tabs: publishes, subscribes, and hands over messages. It bounds what
 * other tabs can make it hold. It does not decide which tab has the session: `sharedTab.ts` does, and calls this file.
 */
import type { Message } from "@effect-mqttx/core/Message"
import type { Session } from "@effect-mqttx/core/MqttSession"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import {
  type ChannelMessage,
  type Content,
  encodeFailure,
  headBytes,
  type Of,
  type SharedFailure,
  weigh
} from "./channelMessage.ts"
import { SharedSessionError } from "./sharedError.ts"
import { freed } from "./webLocks.ts"

/** Tabs, and subscriptions of one tab. */
const maximumTabs = 64
const maximumSubscriptions = 256

/** Messages of other tabs that wait for their outcome, in bytes. */
const maximumPublishing = 16_777_216

export interface OwnerHost {
  readonly id: string
  readonly session: Session
  readonly maximumMessageBytes: number
  /** Bytes that a subscription of another tab may have on the way. */
  readonly windowBytes: number
  readonly lockOf: (tab: string) => string
  readonly post: (message: ChannelMessage) => void
  /** Runs an effect until the tab gives the session up. */
  readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
}

/** A subscription of another tab. */
interface Served {
  fiber: Fiber.Fiber<void> | undefined
  /** Messages that the tab has not taken yet, in bytes together, by their sequence number. */
  readonly waiting: Map<number, { readonly message: Message; readonly bytes: number }>
  bytes: number
  sequence: number
  /** Continues the hand-over when there is room. */
  wake: (() => void) | undefined
}

export class OwnerService {
  readonly #host: OwnerHost
  readonly #tabs = new Map<string, Map<number, Served>>()
  #publishing = 0

  constructor(host: OwnerHost) {
    this.#host = host
  }

  receive(message: ChannelMessage): void {
    const { id, post } = this.#host
    switch (message._tag) {
      case "Hello":
        return post({ _tag: "Owner", owner: id })
      case "Publish":
        return message.owner === id ? this.#publish(message) : undefined
      case "Subscribe":
        return message.owner === id ? this.#subscribe(message) : undefined
      case "Unsubscribe":
        return this.#unsubscribe(message)
      case "Taken":
        return this.#taken(message)
    }
  }

  #publish({ from, id, payload, properties, qos, retain, timeout, topic }: Of<"Publish">): void {
    const { fork, post, session } = this.#host
    const reply = (exit: Exit.Exit<unknown, SharedFailure>): void =>
      post({ _tag: "Published", to: from, id, ...failureOf(exit) })
    const bytes = weigh({ payload, properties, qos, retain, topic })
    if (this.#publishing + bytes > maximumPublishing) return reply(Exit.fail(overloaded))
    this.#publishing += bytes
    const publishing = session.publish(topic, payload, { qos, retain, properties, timeout }).pipe(
      Effect.onExit((exit) =>
        Effect.sync(() => {
          this.#publishing -= bytes
          reply(exit)
        })
      ),
      Effect.exit
    )
    fork(Effect.asVoid(publishing))
  }

  #subscribe({ filters, from, id, qos }: Of<"Subscribe">): void {
    const { fork, post } = this.#host
    const tab = this.#tabOf(from)
    if (tab === undefined || tab.size >= maximumSubscriptions) {
      return post({ _tag: "Ended", to: from, id, ...failureOf(Exit.fail(overloaded)) })
    }
    if (tab.has(id)) return
    const served: Served = { fiber: undefined, waiting: new Map(), bytes: 0, sequence: 0, wake: undefined }
    tab.set(id, served)
    const serving = Effect.scoped(
      Effect.flatMap(
        this.#host.session.subscription(filters, { qos, ack: "manual" }),
        ({ messages }) => Stream.runForEach(messages, (message) => this.#hand(from, id, served, message))
      )
    ).pipe(
      Effect.onExit((exit) =>
        Effect.sync(() => {
          tab.delete(id)
          post({ _tag: "Ended", to: from, id, ...failureOf(exit) })
        })
      ),
      Effect.exit
    )
    served.fiber = fork(Effect.asVoid(serving))
  }

  /** Hands a message over when the tab has room for it. */
  #hand(to: string, id: number, served: Served, message: Message): Effect.Effect<void, SharedSessionError> {
    const { maximumMessageBytes, post, windowBytes } = this.#host
    const content = contentOf(message)
    const bytes = weigh(content)
    if (message.payload.byteLength > maximumMessageBytes || bytes > maximumMessageBytes + headBytes) {
      return Effect.fail(tooLarge(maximumMessageBytes))
    }
    const room = Effect.callback<void>((resume) => {
      const look = (): void => {
        // One message always fits.
        if (served.bytes > 0 && served.bytes + bytes > windowBytes) return
        served.wake = undefined
        resume(Effect.void)
      }
      served.wake = look
      look()
    })
    return Effect.map(room, () => {
      const sequence = ++served.sequence
      served.waiting.set(sequence, { message, bytes })
      served.bytes += bytes
      post({ _tag: "Delivery", to, id, sequence, ...content })
    })
  }

  #taken({ from, id, sequence }: Of<"Taken">): void {
    const served = this.#tabs.get(from)?.get(id)
    const taken = served?.waiting.get(sequence)
    if (served === undefined || taken === undefined) return
    served.waiting.delete(sequence)
    served.bytes -= taken.bytes
    this.#host.fork(taken.message.ack)
    served.wake?.()
  }

  #unsubscribe({ from, id }: Of<"Unsubscribe">): void {
    this.#tabs.get(from)?.get(id)?.fiber?.interruptUnsafe()
  }

  /** The subscriptions of a tab, which end with it; undefined: there are too many tabs. */
  #tabOf(from: string): Map<number, Served> | undefined {
    const known = this.#tabs.get(from)
    if (known !== undefined || this.#tabs.size >= maximumTabs) return known
    const tab = new Map<number, Served>()
    this.#tabs.set(from, tab)
    this.#host.fork(Effect.map(freed(this.#host.lockOf(from)), () => {
      this.#tabs.delete(from)
      for (const { fiber } of tab.values()) fiber?.interruptUnsafe()
    }))
    return tab
  }
}

/** What another tab gets of a message. */
export const contentOf = ({ payload, properties, qos, retain, topic }: Message): Content => {
  const { subscriptionIdentifiers: _identifiers, topicAlias: _alias, ...own } = properties
  return { topic, payload, qos, retain, properties: own }
}

const overloaded = new SharedSessionError({
  kind: "overloaded",
  detail: "the tab with the session has too much to do for other tabs"
})

export const tooLarge = (maximum: number): SharedSessionError =>
  new SharedSessionError({ kind: "tooLarge", detail: `a message is larger than ${maximum} bytes` })

const failureOf = (exit: Exit.Exit<unknown, SharedFailure>): Pick<Of<"Ended">, "failure"> => {
  if (Exit.isSuccess(exit)) return {}
  const error = Cause.findErrorOption(exit.cause)
  return {
    failure: encodeFailure(
      error._tag === "Some" ? error.value : new SharedSessionError({
        kind: "ownerLost",
        detail: "the tab with the session gave it up before it answered"
      })
    )
  }
}
