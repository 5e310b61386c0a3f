/**
 * Trace contexts in messages: the W3C Trace Context (`traceparent`, `tracestate`) as user properties of MQTT 5, with
 * which a trace continues from publishers to consumers. Sessions with the option `tracing` write and read it.
 *
 * @see https://www.w3.org/TR/trace-context/
 * @see https://w3c.github.io/trace-context-mqtt/
 */
import * as Context from "effect/Context"
import * as Tracer from "effect/Tracer"
import type { UserProperty } from "./Properties.ts"

/**
 * The `tracestate` that came with a span of another process: the vendors' own data, passed on unchanged.
 *
 * @stability stable
 * @category references
 * @since 0.1.0
 */
export const TraceState: Context.Reference<string> = Context.Reference("@effect-mqttx/core/TraceState", {
  defaultValue: () => ""
})

// Version 00, and later versions, which begin in the same way. Ids of zeros are invalid.
const pattern = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/

/** A list of vendors is at most this long, in characters. Longer ones are not passed on. */
const longestState = 512

/**
 * The span that these user properties name; undefined when they name none, or name it wrongly. Names count as the
 * draft has them, in lower case.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const fromUserProperties = (
  userProperties: ReadonlyArray<UserProperty> | undefined
): Tracer.ExternalSpan | undefined => {
  let parent: RegExpExecArray | null = null
  let state = ""
  if (!Array.isArray(userProperties)) return undefined
  for (const [name, value] of userProperties as ReadonlyArray<UserProperty>) {
    if (name === "traceparent") {
      // Two of them do not say which span is meant.
      if (parent !== null) return undefined
      parent = pattern.exec(value)
    } else if (name === "tracestate") state = state === "" ? value : `${state},${value}`
  }
  if (parent === null) return undefined
  return Tracer.externalSpan({
    traceId: parent[1]!,
    spanId: parent[2]!,
    sampled: (Number.parseInt(parent[3]!, 16) & 1) === 1,
    ...(state === "" || state.length > longestState ? undefined : { annotations: Context.make(TraceState, state) })
  })
}

/**
 * The user properties that name a span.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const toUserProperties = (span: Tracer.AnySpan): ReadonlyArray<UserProperty> => {
  const parent: UserProperty = ["traceparent", `00-${span.traceId}-${span.spanId}-${span.sampled ? "01" : "00"}`]
  const state = stateOf(span)
  return state === "" ? [parent] : [parent, ["tracestate", state]]
}

/** The state that came with the nearest span of another process. */
const stateOf = (span: Tracer.AnySpan): string => {
  let current = span
  while (current._tag === "Span") {
    if (current.parent._tag === "None") return ""
    current = current.parent.value
  }
  return Context.get(current.annotations, TraceState)
}
