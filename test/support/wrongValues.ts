/**
 * Values of every kind, and what happens when functions are called with them.
 *
 * The rule that is held here: what returns an Effect, a Stream, a Layer or a Config never throws, and fails with a
 * type; a predicate answers; any other function throws at once, or answers a Result, and never leaves something behind
 * that fails later without a type.
 */
import { isMqttError, MqttErrorReason } from "@effect-mqttx/core/MqttError"
import { Cause, Config, Effect, Exit, Fiber, Layer, Option, Result, Schema, Stream } from "effect"

/** A kind of value: made again for each call, so that no call sees what another one did to it. */
export interface Kind {
  readonly name: string
  readonly make: () => unknown
}

class Instance {
  readonly qos = 7
}

const kind = (name: string, make: () => unknown): Kind => ({ name, make })

/** Values of every kind of JavaScript, and of this library's neighbours. */
export const kinds: ReadonlyArray<Kind> = [
  kind("undefined", () => undefined),
  kind("null", () => null),
  kind("true", () => true),
  kind("0", () => 0),
  kind("-1", () => -1),
  kind("1.5", () => 1.5),
  kind("2 ** 40", () => 2 ** 40),
  kind("NaN", () => Number.NaN),
  kind("Infinity", () => Number.POSITIVE_INFINITY),
  kind("a bigint", () => 5n),
  kind("a negative bigint", () => -5n),
  kind("an empty text", () => ""),
  kind("a text", () => "text"),
  kind("a text with a wildcard", () => "a/#/b"),
  kind("a text with a lone surrogate", () => "a\ud800"),
  kind("a text with U+0000", () => "a\u0000"),
  kind("a symbol", () => Symbol("wrong")),
  kind("a function", () => () => undefined),
  kind("an empty object", () => ({})),
  kind("an object", () => ({ wrong: true })),
  kind("an object without a prototype", () => Object.create(null)),
  kind("an object with the key __proto__", () => JSON.parse("{\"__proto__\":{\"qos\":1}}")),
  kind("an object that cannot be a text", () => ({
    toString: () => {
      throw new Error("no text")
    }
  })),
  kind("an instance", () => new Instance()),
  kind("an empty array", () => []),
  kind("an array", () => [undefined, 5]),
  kind("a sparse array", () => Array(3)),
  kind("a Date", () => new Date(0)),
  kind("a Map", () => new Map([["a", 1]])),
  kind("a Set", () => new Set([1])),
  kind("a RegExp", () => /a/g),
  kind("an Error", () => new Error("wrong")),
  kind("a promise", () => Promise.resolve(5)),
  kind("a Uint8Array", () => Uint8Array.of(1, 2, 3)),
  kind("a Float64Array", () => Float64Array.of(1.5)),
  kind("a DataView", () => new DataView(new ArrayBuffer(3))),
  kind("an Option", () => Option.some("a")),
  kind("an Effect", () => Effect.succeed("a")),
  kind("an Effect that fails", () => Effect.fail("no")),
  kind("a Stream", () => Stream.make(1, 2))
]

/** Which values are right, and one of them. */
export interface Type {
  readonly name: string
  readonly valid: () => unknown
  /** Undefined: nobody can tell before the value is used, so that it may pass. */
  readonly isValid: ((value: unknown) => boolean) | undefined
}

export const type = (name: string, valid: () => unknown, isValid?: (value: unknown) => boolean): Type => ({
  name,
  valid,
  isValid
})

/** The same, or undefined. */
export const optional = (inner: Type): Type =>
  type(inner.name, inner.valid, inner.isValid && ((value) => value === undefined || inner.isValid!(value)))

/** Options: each by itself, and a key that is none of them. */
export interface Options {
  readonly types: { readonly [key: string]: Type }
  /** What is there beside the one that is looked at. */
  readonly base: () => object
  readonly isOptional: boolean
}

export interface Parameter {
  readonly name: string
  readonly type: Type
  readonly options?: Options
}

export const parameter = (name: string, of: Type): Parameter => ({ name, type: of })

const isRecord = (value: unknown): boolean => typeof value === "object" && value !== null && !Array.isArray(value)

/**
 * A parameter that is a record of options. What is an object otherwise is judged by its keys, and counts as wrong if it
 * has any.
 */
export const options = (
  name: string,
  types: { readonly [key: string]: Type },
  base: () => object = () => ({}),
  isOptional = true
): Parameter => ({
  name,
  type: type(
    "options",
    base,
    (value) => isOptional && (value === undefined || (isRecord(value) && Object.keys(value as object).length === 0))
  ),
  options: { types, base, isOptional }
})

/** How a function answers. */
export type Answer = "effect" | "stream" | "layer" | "config" | "predicate" | "value"

/** One call: what is passed, and whether it has to be refused. */
interface Call {
  readonly title: string
  readonly given: ReadonlyArray<unknown>
  readonly isWrong: boolean
}

function* callsOf(parameters: ReadonlyArray<Parameter>): Generator<Call> {
  const valid = (): Array<unknown> => parameters.map((each) => each.type.valid())
  for (const [index, { name, options: inner, type: outer }] of parameters.entries()) {
    for (const value of kinds) {
      const given = valid()
      const wrong = given[index] = value.make()
      yield { title: `${name}: ${value.name}`, given, isWrong: outer.isValid?.(wrong) === false }
    }
    if (inner === undefined) continue
    for (const [key, each] of Object.entries(inner.types)) {
      for (const value of kinds) {
        const given = valid()
        const wrong = value.make()
        given[index] = { ...inner.base(), [key]: wrong }
        // What is undefined counts as not given, unless it has to be there.
        const isMissing = wrong === undefined && (inner.isOptional || !(key in inner.base()))
        yield {
          title: `${name}.${key}: ${value.name}`,
          given,
          isWrong: !isMissing && each.isValid?.(wrong) === false
        }
      }
    }
    for (const key of ["unknown", "__proto__"]) {
      const given = valid()
      given[index] = JSON.parse(JSON.stringify({ [`${key}`]: 0 })) as object
      Object.defineProperty(given[index], key, { value: 1, enumerable: true, configurable: true, writable: true })
      for (const [known, value] of Object.entries(inner.base())) {
        Object.defineProperty(given[index], known, { value, enumerable: true })
      }
      yield { title: `${name}.${key}`, given, isWrong: true }
    }
  }
}

const isTyped = (error: unknown): boolean =>
  // The last one is that of an Effect among the values.
  isMqttError(error) || Schema.isSchemaError(error) || error instanceof Config.ConfigError ||
  MqttErrorReason.members.some((reason) => error instanceof reason) ||
  (typeof error === "object" && error !== null && "_tag" in error && error instanceof Error) || error === "no"

/** What is wrong with how an effect ended. */
const judge = (
  exit: Exit.Exit<unknown, unknown> | undefined,
  call: Call,
  isClear: (defect: unknown) => boolean
): string | undefined => {
  if (exit === undefined) return call.isWrong ? "waits, and should be refused" : undefined
  if (Exit.isSuccess(exit)) return call.isWrong ? "succeeds, and should be refused" : undefined
  for (const reason of exit.cause.reasons) {
    if (Cause.isFailReason(reason) && !isTyped(reason.error)) return `fails with ${String(reason.error)}`
    // Where there is no failure in the type, the mistake is a defect; it has a type all the same.
    if (!Cause.isDieReason(reason) || isMqttError(reason.defect) || isClear(reason.defect)) continue
    // A function that answers no effect is a defect of its author's, and told as such by Effect.
    if (!call.title.endsWith(": a function")) return `dies with ${String(reason.defect)}`
  }
  return undefined
}

/** Lets fibers, timers of 0 ms and turns of the event loop run. */
const settle: Effect.Effect<void> = Effect.callback<void>((resume) => {
  let turns = 0
  const next = (): void => {
    if (++turns > 8) resume(Effect.void)
    else setImmediate(next)
  }
  next()
})

const asEffect = (answer: Answer, returned: unknown): Effect.Effect<unknown, unknown> | undefined => {
  switch (answer) {
    case "effect":
      return Effect.isEffect(returned) ? returned as Effect.Effect<unknown, unknown> : undefined
    case "stream":
      return Stream.isStream(returned)
        ? Stream.runDrain(Stream.take(returned as Stream.Stream<unknown, unknown>, 1))
        : undefined
    case "layer":
      return Layer.isLayer(returned)
        ? Layer.build(Layer.fresh(returned as Layer.Layer<unknown, unknown>)) as never
        : undefined
    case "config":
      return Effect.isEffect(returned) ? returned as Effect.Effect<unknown, unknown> : undefined
    default:
      return undefined
  }
}

/**
 * Calls a function with wrong values in each place, and answers what went wrong with that: nothing, where the rule is
 * held.
 */
export const violationsOf = (
  subject: string,
  answer: Answer,
  parameters: ReadonlyArray<Parameter>,
  call: (...given: ReadonlyArray<never>) => unknown,
  /** Which defects are clear beside an `MqttError`. */
  isClear: (defect: unknown) => boolean = () => false
): Effect.Effect<ReadonlyArray<string>> =>
  Effect.gen(function*() {
    const violations: Array<string> = []
    for (const each of callsOf(parameters)) {
      const report = (what: string): void => {
        violations.push(`${subject}(${each.title}) ${what}`)
      }
      let returned: unknown
      try {
        returned = call(...each.given as ReadonlyArray<never>)
      } catch (error) {
        if (answer !== "value") report(`throws ${String(error)}`)
        else if (!(error instanceof Error)) report(`throws what is no Error`)
        continue
      }
      if (answer === "predicate") {
        if (typeof returned !== "boolean") report(`answers ${typeof returned}`)
        continue
      }
      if (answer === "value") {
        if (each.isWrong && !(Result.isResult(returned) && Result.isFailure(returned))) {
          report("answers, and should refuse")
        }
        continue
      }
      const effect = asEffect(answer, returned)
      if (effect === undefined) {
        report(`answers no ${answer}`)
        continue
      }
      const fiber = yield* Effect.forkChild(Effect.scoped(effect as Effect.Effect<unknown, unknown, never>), {
        startImmediately: true
      })
      for (let i = 0; i < 4 && fiber.pollUnsafe() === undefined; i++) yield* settle
      const exit = fiber.pollUnsafe()
      yield* Fiber.interrupt(fiber)
      const violation = judge(exit, each, isClear)
      if (violation !== undefined) report(violation)
    }
    return violations
  })

/** The first violations as a text, one in each line; empty where there is none. */
export const shown = (violations: ReadonlyArray<string>): string => {
  const lines = violations.slice(0, 12)
  if (violations.length > lines.length) lines.push(`and ${violations.length - lines.length} more`)
  return lines.join("\n")
}
