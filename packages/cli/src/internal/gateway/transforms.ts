/**
 * The transforms that a gateway's file can declare for the payloads of a forwarder, and what is wrong with one.
 * `transformPayload.ts` applies those of one message, and `transformHooks.ts` all of a forwarder. Sampling and topics
 * are options of the forwarder itself: `sample` and `mapping`.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import type * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { every, parsePath } from "../jsonPath.ts"
import { unitNames, unitsLike } from "./units.ts"

const text = Schema.String.annotate({ message: "expected a text" })

const path = text.check(
  Schema.makeFilter((value: string) =>
    parsePath(value) === undefined ? "expected a path, for example readings.0.value or $.readings[0].value" : undefined
  )
)

const integer = (minimum: number, maximum: number) => {
  const message = `expected a whole number from ${minimum} to ${maximum}`
  return Schema.Number.annotate({ message }).check(
    Schema.makeFilter((value: number) =>
      Number.isInteger(value) && value >= minimum && value <= maximum ? undefined : message
    )
  )
}

const duration = OptionsSchema.duration({
  minimum: "1 millis",
  maximum: "1 day",
  message: "expected 1 ms to 1 day, for example \"5 seconds\""
})

const oneOf = <const L extends ReadonlyArray<string>>(literals: L) =>
  Schema.Literals(literals).annotate({ message: `expected ${literals.join(" or ")}` })

const unit = text.check(
  Schema.makeFilter((value: string) =>
    unitNames.includes(value) ? undefined : `expected a unit: ${unitNames.join(", ")}`
  )
)

const number = Schema.Number.annotate({ message: "expected a number" }).check(
  Schema.makeFilter((value: number) => Number.isFinite(value) ? undefined : "expected a number")
)

const decimals = integer(0, 15)

/** What is replaced in a template. */
export const insertion = /\{\{\s*([^{}]*?)\s*\}\}/g
const names = ["topic", "payload", "session", "timestamp"]

const templateIssue = (template: string): string | undefined => {
  const wrong = Array.from(template.matchAll(insertion), ([, name]) => name!).find((name) =>
    !names.includes(name) && !(name.startsWith("$") && parsePath(name) !== undefined)
  )
  return wrong === undefined ? undefined : `expected {{${names.join("}}, {{")}}} or {{$.path}}`
}

const keyPath = path.check(
  Schema.makeFilter((value: string) => {
    const last = parsePath(value)?.at(-1)
    return last === undefined || last === every ? "expected the path of a key" : undefined
  })
)

/** The fields of each kind of transform. */
const fields = {
  pick: {
    type: Schema.Literal("pick").annotateKey({
      description: "The payload is what stands at a path: a text as it is, other values as JSON."
    }),
    path: path.annotateKey({ description: "Where the value stands; a path with * stands for an array of values." })
  },
  template: {
    type: Schema.Literal("template").annotateKey({ description: "The payload is a text with insertions." }),
    template: text.check(Schema.makeFilter((value: string) => templateIssue(value))).annotateKey({
      description: "The text, with {{topic}}, {{payload}}, {{session}}, {{timestamp}} (milliseconds) and {{$.path}}."
    }),
    format: Schema.optionalKey(
      oneOf(["text", "json"]).annotateKey({
        description: "json: insertions are JSON, and the result has to be. Default text."
      })
    )
  },
  scale: {
    type: Schema.Literal("scale").annotateKey({ description: "A number becomes number * factor + offset." }),
    path: Schema.optionalKey(path.annotateKey({ description: "Where the number stands. Default $: the payload." })),
    factor: Schema.optionalKey(number.annotateKey({ description: "Default 1." })),
    offset: Schema.optionalKey(number.annotateKey({ description: "Default 0." })),
    decimals: Schema.optionalKey(decimals.annotateKey({ description: "Rounds to so many. Default: as it comes." }))
  },
  convert: {
    type: Schema.Literal("convert").annotateKey({ description: "A number is converted from one unit to another one." }),
    path: Schema.optionalKey(path.annotateKey({ description: "Where the number stands. Default $: the payload." })),
    from: unit.annotateKey({ description: `The unit of the number: ${unitNames.join(", ")}.` }),
    to: unit.annotateKey({ description: "The unit that it gets, of the same quantity." }),
    decimals: Schema.optionalKey(decimals.annotateKey({ description: "Rounds to so many. Default: as it comes." }))
  },
  rename: {
    type: Schema.Literal("rename").annotateKey({ description: "A key of an object gets another name." }),
    path: keyPath.annotateKey({ description: "The path of the key." }),
    to: Schema.NonEmptyString.annotate({ message: "expected a key" }).annotateKey({ description: "The new name." })
  },
  deduplicate: {
    type: Schema.Literal("deduplicate").annotateKey({
      description: "Drops a message whose value at a path, or whose payload, was there a short time ago."
    }),
    path: Schema.optionalKey(
      path.annotateKey({ description: "For example of an identifier. Default $: the payload." })
    ),
    within: Schema.optionalKey(
      duration.annotateKey({ description: "How long a value is remembered. Default 1 minute." })
    ),
    entries: Schema.optionalKey(
      integer(1, 1_000_000).annotateKey({
        description: "How many values are remembered, the last ones. Default 10000."
      })
    )
  },
  batch: {
    type: Schema.Literal("batch").annotateKey({ description: "Publishes several messages of a topic as one." }),
    messages: Schema.optionalKey(
      integer(1, 65_535).annotateKey({
        description: "Messages of a batch at most. Default: as many as maxInFlight of the forwarder."
      })
    ),
    bytes: Schema.optionalKey(
      integer(1, 268_435_456).annotateKey({
        description: "Bytes of a batch at most; a larger message is a batch of its own. Default 65536."
      })
    ),
    time: Schema.optionalKey(duration.annotateKey({
      description: "How long a message waits for others. Default 1 second."
    })),
    format: Schema.optionalKey(
      oneOf(["json", "lines"]).annotateKey({
        description:
          "json: an array of the payloads, which have to be JSON. lines: one payload in each line. Default json."
      })
    )
  },
  unbatch: {
    type: Schema.Literal("unbatch").annotateKey({ description: "Publishes each item of a message on its own." }),
    path: Schema.optionalKey(
      path.annotateKey({ description: "Where the array stands, of json. Default $: the payload." })
    ),
    messages: Schema.optionalKey(
      integer(1, 100_000).annotateKey({
        description: "A payload with more items fails. Default 10000."
      })
    ),
    format: Schema.optionalKey(
      oneOf(["json", "lines"]).annotateKey({
        description: "json: the items of an array. lines: the lines of a text. Default json."
      })
    )
  }
} as const

const schemas = {
  pick: OptionsSchema.strict(fields.pick),
  template: OptionsSchema.strict(fields.template),
  scale: OptionsSchema.strict(fields.scale),
  convert: OptionsSchema.strict(fields.convert).check(
    Schema.makeFilter(({ from, to }: Schema.Struct.Type<typeof fields.convert>) =>
      unitsLike(from).includes(to)
        ? undefined
        : { path: ["to"], issue: `expected a unit like ${from}: ${unitsLike(from).join(", ")}` }
    )
  ),
  rename: OptionsSchema.strict(fields.rename),
  deduplicate: OptionsSchema.strict(fields.deduplicate),
  batch: OptionsSchema.strict(fields.batch),
  unbatch: OptionsSchema.strict(fields.unbatch).check(
    Schema.makeFilter(({ format, path: at }: Schema.Struct.Type<typeof fields.unbatch>) =>
      format === "lines" && at !== undefined ? { path: ["path"], issue: "lines have no paths" } : undefined
    )
  )
} as const

/** A transform of a file. */
export type Transform = { readonly [Type in keyof typeof schemas]: typeof schemas[Type]["Type"] }[keyof typeof schemas]

const types = Object.keys(schemas) as ReadonlyArray<keyof typeof schemas>

/** The schema of each kind of transform, for the JSON Schema. */
export const transformSchemas: Readonly<Record<string, Schema.Top>> = schemas

/** Checks one transform. */
export const decodeTransform = (value: unknown): Result.Result<Transform, MqttError> => {
  const type = typeof value === "object" && value !== null && "type" in value ? value.type : undefined
  const schema = typeof type === "string" && Object.hasOwn(schemas, type)
    ? schemas[type as keyof typeof schemas]
    : OptionsSchema.strict({
      type: Schema.Literals(types).annotate({
        message: `expected ${types.slice(0, -1).join(", ")} or ${types.at(-1)}`
      })
    })
  return OptionsSchema.decode(schema as Schema.Codec<Transform, unknown>, value, "gateway")
}

/** The mistakes between the transforms of one forwarder, with their indices. */
export const transformsIssues = (
  transforms: ReadonlyArray<Transform>
): ReadonlyArray<{ readonly index: number; readonly message: string }> => {
  const first = transforms.findIndex(changesNumber)
  return transforms.flatMap((transform, index) => {
    if (index <= first || first === -1) return []
    if (changesNumber(transform)) return [{ index, message: "a forwarder has one batch or unbatch at most" }]
    return transform.type === "deduplicate"
      ? [{ index, message: `has to stand before ${transforms[first]!.type}` }]
      : []
  })
}

const changesNumber = ({ type }: Transform): boolean => type === "batch" || type === "unbatch"
