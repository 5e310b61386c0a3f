/**
 * The JSON Schema of the gateway's file, for editors. It is made from the schemas that check the file. It says less
 * than they do: rules between options, and numbers in their bounds, are checked by `gateway --check` only.
 */
import * as ForwarderOptions from "@effect-mqttx/core/ForwarderOptions"
import * as SessionOptions from "@effect-mqttx/core/SessionOptions"
import * as Schema from "effect/Schema"
import { codeOptions } from "./configuration.ts"
import { GatewaySchema } from "./schema.ts"
import { transformSchemas } from "./transforms.ts"

type Json = string | number | boolean | null | ReadonlyArray<Json> | { readonly [key: string]: Json }
type JsonObject = { readonly [key: string]: Json }

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const membersOf = (value: JsonObject): ReadonlyArray<Json> => Array.isArray(value["anyOf"]) ? value["anyOf"] : []

const propertiesOf = (value: Json | undefined): JsonObject =>
  isObject(value) && isObject(value["properties"]) ? value["properties"] : {}

const hasWeeks = (member: Json): boolean => "weeks" in propertiesOf(member)

const isInfinite = (member: Json): boolean =>
  isObject(member) && Array.isArray(member["enum"]) && member["enum"].includes("-Infinity")

/** What editors should offer, in place of every form that a decoder takes. */
const simplify = (value: Json): Json => {
  if (Array.isArray(value)) return value.map(simplify)
  if (!isObject(value)) return value
  const members = membersOf(value)
  if (members.some(hasWeeks)) return { $ref: "#/$defs/duration" }
  if (members.some(isInfinite)) {
    const others = members.filter((member) => !isInfinite(member)).map(simplify)
    return others.length === 1 ? others[0]! : { anyOf: others }
  }
  const entries = Object.entries(value).map(([key, inner]): [string, Json] => [key, simplify(inner)])
  // A table with names of its own refuses every other one; `metadata` and the like take any.
  const isClosed = "properties" in value && value["additionalProperties"] === true
  return { ...Object.fromEntries(entries), ...(isClosed ? { additionalProperties: false } : undefined) }
}

const documentOf = (schema: Schema.Top): JsonObject => {
  const { schema: document } = Schema.toJsonSchemaDocument(schema)
  return simplify(document as Json) as JsonObject
}

const without = (document: JsonObject, keys: ReadonlyArray<string>): JsonObject => ({
  ...document,
  properties: Object.fromEntries(Object.entries(propertiesOf(document)).filter(([key]) => !keys.includes(key))),
  required: (document["required"] as ReadonlyArray<string>).filter((key) => !keys.includes(key))
})

const table = (of: string): Json => ({ type: "object", additionalProperties: { $ref: `#/$defs/${of}` } })

/** The JSON Schema as a value. */
export const gatewayJsonSchema = (): JsonObject => {
  const file = documentOf(GatewaySchema)
  const session = without(documentOf(SessionOptions.SessionOptions), ["name", ...codeOptions])
  const forwarder = without(documentOf(ForwarderOptions.ForwarderOptions), ["name"])
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "The file of effect-mqttx gateway",
    ...file,
    properties: { ...propertiesOf(file), sessions: table("session"), forwarders: table("forwarder") },
    $defs: {
      duration: {
        description: "Milliseconds, or a text such as \"30 seconds\"",
        type: ["number", "string"]
      },
      session: {
        ...session,
        properties: {
          ...propertiesOf(session),
          store: { type: "string", description: "The name of a store; default memory" }
        }
      },
      forwarder: {
        ...forwarder,
        properties: { ...propertiesOf(forwarder), transforms: { type: "array", items: { $ref: "#/$defs/transform" } } }
      },
      transform: { anyOf: Object.values(transformSchemas).map(documentOf) }
    }
  }
}

/** The JSON Schema as the text of its file. */
export const gatewayJsonSchemaText = (): string => `${JSON.stringify(gatewayJsonSchema(), undefined, 2)}\n`
