/**
 * What a server publishes to its clients: frames of calls, and what it has to say about calls.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import { chunksOf } from "effect/Array"
import * as Effect from "effect/Effect"
import type { RemoteClient } from "./clientTable.ts"
import { callsPerHeartbeat, type Link } from "./link.ts"
import type { FrameKind, Refusal } from "./packets.ts"

const callsOf = ({ calls }: RemoteClient): ReadonlyArray<readonly [call: number, sent: number]> =>
  Array.from(calls.values(), ({ number, sent }) => [number, sent])

export class Replies {
  readonly #link: Link

  constructor(link: Link) {
    this.#link = link
  }

  /** Publishes a frame of a call, and succeeds when the broker has acknowledged it. */
  publish(
    { replyTopic }: RemoteClient,
    kind: FrameKind,
    call: { readonly number: number; sent: number },
    body: Uint8Array
  ): Effect.Effect<void, MqttError> {
    return Effect.flatMap(
      this.#link.partsOf({ topic: replyTopic }, { kind, call: call.number, sequence: call.sent, body }),
      (parts) => {
        call.sent += parts.length
        return Effect.asVoid(this.#link.publishParts(replyTopic, parts))
      }
    )
  }

  beat(client: RemoteClient): Effect.Effect<void> {
    return this.#link.beat(client.replyTopic, callsOf(client))
  }

  /** Tells a client which of its calls are here, in a message that is not lost as heartbeats may be. */
  claim(client: RemoteClient): Effect.Effect<void> {
    return Effect.forEach(
      chunksOf(callsOf(client), callsPerHeartbeat),
      (calls) => this.#link.tell(client.replyTopic, { _tag: "Heartbeat", sender: this.#link.name, calls }),
      { discard: true }
    )
  }

  refuse(topic: string, call: number, refusal: Refusal): Effect.Effect<void> {
    return this.#link.tell(topic, { _tag: "Refused", sender: this.#link.name, call, refusal })
  }
}
