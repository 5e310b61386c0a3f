/**
 * Publishes a request of a client: its first part to any server, the others to the one that accepts it.
 */
import type { MessageProperties } from "@effect-mqttx/core/Properties"
import * as ReasonCode from "@effect-mqttx/core/ReasonCode"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import type { Call } from "./clientCalls.ts"
import { failure, mqttFailure } from "./failures.ts"
import { type Link, partsAtOnce } from "./link.ts"

/** `properties` are those of the first part on MQTT 5. */
export const publishRequest = (
  link: Link,
  call: Call,
  body: Uint8Array,
  properties: MessageProperties | undefined
): Effect.Effect<void, RpcClientError> => {
  const connections = link.connections()
  const destination = {
    topic: link.topics.request(link.name),
    properties: properties === undefined ? undefined : { ...properties, correlationData: numberBytes(call.number) }
  }
  return Effect.gen(function*() {
    const parts = yield* link.partsOf(destination, { kind: "request", call: call.number, sequence: 0, body })
    call.sent = 1
    const { reasonCode } = yield* link.publish(destination, parts[0]!)
    if (reasonCode === ReasonCode.noMatchingSubscribers && call.owner === undefined) {
      // An earlier connection may have delivered it.
      const mayHaveRun = link.connections() !== connections && parts.length === 1
      return yield* Effect.fail(failure("noServer", mayHaveRun, "no server subscribes to the requests"))
    }
    if (parts.length === 1) return
    const owner = yield* Deferred.await(call.accepted)
    const topic = link.topics.serverFrom(owner, link.name)
    for (let at = 1; at < parts.length; at += partsAtOnce) {
      const next = parts.slice(at, at + partsAtOnce)
      call.sent += next.length
      const receipts = yield* link.publishParts(topic, next)
      if (receipts.some((receipt) => receipt.reasonCode === ReasonCode.noMatchingSubscribers)) {
        const detail = "the server went before it had the whole request"
        return yield* Effect.fail(failure("serverGone", at + partsAtOnce >= parts.length, detail))
      }
    }
  }).pipe(
    Effect.catchTag("MqttError", (error) =>
      // A request that a server has is not lost because of a late acknowledgement.
      call.owner !== undefined && call.assembly.received > 0
        ? Effect.never
        : Effect.fail(mqttFailure(error, true)))
  )
}

/** The call's number as the correlation data of MQTT 5. */
const numberBytes = (number: number): Uint8Array => {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(number))
  return bytes
}
