/**
 * The hooks of a forwarder for the transforms of the file. What stands before a `batch` or an `unbatch` is the
 * transformation of each message; what stands behind it is applied to the batch, or to each item. A message that cannot
 * be transformed fails, and goes to the dead-letter topic. `runtime.ts` calls it.
 */
import type { ForwarderHooks } from "@effect-mqttx/core/ForwarderOptions"
import type { Message } from "@effect-mqttx/core/Message"
import { InvalidPayload, MqttError } from "@effect-mqttx/core/MqttError"
import * as RouteTransformer from "@effect-mqttx/core/RouteTransformer"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { RecentValues } from "./recentValues.ts"
import {
  batchIssue,
  itemsOf,
  joinPayloads,
  type PayloadTransform,
  textAt,
  transformPayload
} from "./transformPayload.ts"
import type { Transform } from "./transforms.ts"

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** A payload, or undefined to drop the message. It throws an `MqttError`. */
type Step = (payload: string, message: Message) => string | undefined

const failure = (message: Message, detail: string): MqttError =>
  new MqttError({
    reason: new InvalidPayload({ detail, direction: "received" }),
    session: message.session,
    method: "transform",
    topic: message.topic
  })

const textOf = (message: Message): string => {
  try {
    return utf8.decode(message.payload)
  } catch {
    throw failure(message, "the payload is not UTF-8")
  }
}

const orThrow = <A>(result: Result.Result<A, string>, message: Message, type: Transform["type"]): A => {
  if (Result.isFailure(result)) throw failure(message, `${type}: ${result.failure}`)
  return result.success
}

type Of<Type extends Transform["type"]> = Extract<Transform, { readonly type: Type }>

const deduplicate = ({ entries = 10_000, path = "$", within }: Of<"deduplicate">): Step => {
  const seen = new RecentValues(entries, within === undefined ? 60_000 : Duration.toMillis(within))
  return (payload, message) => {
    const isNew = seen.add(orThrow(textAt(payload, path), message, "deduplicate"), message.receivedAt)
    // The first delivery of a message that comes again has noted its value, and may not have been forwarded.
    return isNew || message.dup ? payload : undefined
  }
}

const stepOf = (transform: PayloadTransform | Of<"deduplicate">): Step => {
  if (transform.type === "deduplicate") return deduplicate(transform)
  return (payload, message) => {
    const { receivedAt: timestamp, session, topic } = message
    return orThrow(transformPayload(transform, { topic, session, timestamp, payload }), message, transform.type)
  }
}

/** One after the other, until one of them drops the message. */
const stepsOf = (transforms: ReadonlyArray<Transform>): Step => {
  const steps = transforms.filter(isStep).map(stepOf)
  return (payload, message) => {
    let current: string | undefined = payload
    for (let i = 0; i < steps.length && current !== undefined; i++) current = steps[i]!(current, message)
    return current
  }
}

const isStep = (transform: Transform): transform is PayloadTransform | Of<"deduplicate"> =>
  transform.type !== "batch" && transform.type !== "unbatch"

const transformer = (step: Step, transforms: ReadonlyArray<Transform>): RouteTransformer.RouteTransformer<MqttError> =>
  RouteTransformer.make((message) =>
    Effect.try({
      try: () => {
        const payload = step(textOf(message), message)
        return payload === undefined ? undefined : message.with({ payload })
      },
      catch: (error) => error instanceof MqttError ? error : failure(message, String(error))
    }), transforms.map(({ type }) => type).join(", "))

const batchHooks = (
  { bytes, format = "json", messages, time }: Of<"batch">,
  before: Step,
  behind: Step
): ForwarderHooks<MqttError> => ({
  // Checked for each message: in a batch, one that does not fit would fail all others.
  transform: transformer((payload, message) => {
    const changed = before(payload, message)
    const issue = changed === undefined ? undefined : batchIssue(changed, format)
    if (issue !== undefined) throw failure(message, `batch: ${issue}`)
    return changed
  }, []),
  batch: {
    ...(messages === undefined ? undefined : { messages }),
    ...(bytes === undefined ? undefined : { bytes }),
    ...(time === undefined ? undefined : { time }),
    join: (batch) => behind(joinPayloads(batch.map(textOf), format), batch.at(-1)!)!
  }
})

/** The hooks for these transforms. Without a transform, a forwarder runs no effect for each message. */
export const hooksOf = (transforms: ReadonlyArray<Transform>): ForwarderHooks<MqttError> => {
  if (transforms.length === 0) return {}
  const place = transforms.findIndex((each) => !isStep(each))
  if (place === -1) return { transform: transformer(stepsOf(transforms), transforms) }
  const first = transforms.slice(0, place)
  const before = stepsOf(first)
  const behind = stepsOf(transforms.slice(place + 1))
  const turn = transforms[place]! as Of<"batch"> | Of<"unbatch">
  if (turn.type === "batch") return batchHooks(turn, before, behind)
  return {
    ...(first.length === 0 ? undefined : { transform: transformer(before, first) }),
    split: (message) =>
      orThrow(itemsOf(textOf(message), turn), message, "unbatch").map((item) => behind(item, message)!)
  }
}
