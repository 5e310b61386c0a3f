/**
 * The journal of a broker: an append-only list of changes, so that its state survives a crash.
 */
import type { Will } from "@effect-mqttx/core/Packet"
import type { ProtocolVersion, QoS } from "@effect-mqttx/core/QoS"
import type { PublishedMessage } from "./internal/broker/publishedMessage.ts"

/**
 * One change of the broker's state. `message` numbers are the sequence numbers of `Message` entries before it.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type JournalEntry =
  | {
    readonly _tag: "Session"
    readonly clientId: string
    readonly protocolVersion: ProtocolVersion
    /** Seconds; undefined: never. */
    readonly sessionExpiryInterval: number | undefined
    readonly will: Will | undefined
  }
  | { readonly _tag: "SessionEnded"; readonly clientId: string }
  | {
    readonly _tag: "Subscribed"
    readonly clientId: string
    readonly filter: string
    readonly qos: QoS
    readonly noLocal: boolean
    readonly retainAsPublished: boolean
    readonly subscriptionIdentifier: number
  }
  | { readonly _tag: "Unsubscribed"; readonly clientId: string; readonly filter: string }
  /** The server accepted a message. */
  | { readonly _tag: "Message" } & PublishedMessage
  /** The message with this number is the retained one of its topic; 0: there is none any more. */
  | { readonly _tag: "Retained"; readonly topic: string; readonly message: number }
  /** A delivery was queued for a session; `delivery` numbers are unique in the session. */
  | {
    readonly _tag: "Queued"
    readonly clientId: string
    readonly delivery: number
    readonly message: number
    readonly qos: QoS
    readonly retain: boolean
    readonly subscriptionIdentifiers: ReadonlyArray<number>
  }
  | {
    readonly _tag: "Sent"
    readonly clientId: string
    readonly delivery: number
    readonly packetIdentifier: number
  }
  | { readonly _tag: "Releasing"; readonly clientId: string; readonly delivery: number }
  | { readonly _tag: "Done"; readonly clientId: string; readonly delivery: number }
  /** A QoS 2 packet identifier of a client was received, or released. */
  | { readonly _tag: "Received"; readonly clientId: string; readonly packetIdentifier: number }
  | { readonly _tag: "Released"; readonly clientId: string; readonly packetIdentifier: number }

/**
 * The storage of changes. All calls are synchronous: entries that `append` has accepted survive the crash that the
 * journal is made for.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Journal {
  /** Adds entries after all others. They survive from the moment when it returns. */
  readonly append: (entries: ReadonlyArray<JournalEntry>) => void
  /** All entries in order. */
  readonly load: () => ReadonlyArray<JournalEntry>
  /** Replaces all entries by these. */
  readonly replace: (entries: ReadonlyArray<JournalEntry>) => void
}

/**
 * A journal in memory, which survives a simulated crash of the broker that writes it.
 *
 * **Example** (Keeping the state of a broker)
 *
 * ```ts
 * import { Journal, ScriptedBroker } from "@effect-mqttx/testing"
 * import { Effect } from "effect"
 *
 * export const program = Effect.gen(function*() {
 *   const journal = Journal.makeMemory()
 *   yield* Effect.scoped(Effect.asVoid(ScriptedBroker.makeMemory({ journal })))
 *   // The next broker has the sessions and retained messages of the first one.
 *   yield* ScriptedBroker.makeMemory({ journal })
 * })
 * ```
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const makeMemory = (): Journal => {
  let kept: Array<JournalEntry> = []
  return {
    append: (entries) => {
      for (const entry of entries) kept.push(entry)
    },
    load: () => kept.slice(),
    replace: (entries) => {
      kept = entries.slice()
    }
  }
}
