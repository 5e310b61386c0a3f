/**
 * The JSON Schema of the gateway's file, for editors. It is made from the schemas that check the file. It says less
 * than they do: rules between options, and numbers in their bounds, are checked by `gateway --check` only.
 */
import * as ForwarderOptions from "@effect-mqttx/core/ForwarderOptions"
import * as SessionOptions from "@effect-mqttx/core/SessionOptions"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { codeOptions } from "./configuration.ts"
import { forwarderDescriptions, sessionDescriptions } from "./optionDescriptions.ts"
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

/** The description of a key, which stands apart from its schema. */
const descriptionIn = (member: Json): Json | undefined =>
  isObject(member) && Object.keys(member).join() === "description" ? member["description"] : undefined

/** What editors should offer, in place of every form that a decoder takes. */
const simplify = (value: Json): Json => {
  if (Array.isArray(value)) return value.map(simplify)
  if (!isObject(value)) return value
  const parts = Array.isArray(value["allOf"]) ? value["allOf"] : []
  const description = parts.map(descriptionIn).find((each) => each !== undefined)
  if (description !== undefined) {
    const { allOf: _, ...others } = value
    const rest = parts.filter((part) => descriptionIn(part) === undefined)
    const simple = simplify({ ...others, ...(rest.length === 0 ? undefined : { allOf: rest }) }) as JsonObject
    return { ...simple, description }
  }
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

/** The descriptions of keys. The document has none for values that are decoded to another type, such as durations. */
const keyDescriptions = (ast: SchemaAST.AST, path = ""): Readonly<Record<string, string>> => {
  if (!SchemaAST.isObjects(ast)) return {}
  const described: Record<string, string> = {}
  for (const { name, type } of ast.propertySignatures) {
    const at = path === "" ? String(name) : `${path}.${String(name)}`
    const description = type.context?.annotations?.["description"]
    if (typeof description === "string") described[at] = description
    Object.assign(described, keyDescriptions(type, at))
  }
  for (const { type } of ast.indexSignatures) Object.assign(described, keyDescriptions(type, path))
  return described
}

const documentOf = (schema: Schema.Top): JsonObject => {
  const { schema: document } = Schema.toJsonSchemaDocument(schema)
  return withDescriptions(simplify(document as Json), keyDescriptions(schema.ast)) as JsonObject
}

const without = (document: JsonObject, keys: ReadonlyArray<string>): JsonObject => ({
  ...document,
  properties: Object.fromEntries(Object.entries(propertiesOf(document)).filter(([key]) => !keys.includes(key))),
  required: (document["required"] as ReadonlyArray<string>).filter((key) => !keys.includes(key))
})

/** Options that are alternatives, which have no comments of their own in the core. */
const alternatives: Readonly<Record<string, string>> = {
  "mapping.from": "The topic, or a topic filter with wildcards or parameters such as :room.",
  "mapping.to": "The new topic, with {1} or {room} for what the wildcards and parameters stand for.",
  "mapping.strip": "The prefix that is taken away.",
  "mapping.add": "The prefix that is put in front.",
  "qos.cap": "The quality of service of the delivery, but this one at most.",
  "qos.fix": "Always this quality of service.",
  "will.payload.base64": "Bytes in base64.",
  "will.properties.correlationData.base64": "Bytes in base64.",
  "tls.pfx.base64": "Bytes in base64."
}

/** Adds what the sources say about each option, by its path. */
const withDescriptions = (value: Json, descriptions: Readonly<Record<string, string>>, path = ""): Json => {
  if (Array.isArray(value)) return value.map((each) => withDescriptions(each, descriptions, path))
  if (!isObject(value)) return value
  const properties = Object.entries(propertiesOf(value)).map(([key, property]): [string, Json] => {
    const at = path === "" ? key : `${path}.${key}`
    const described = withDescriptions(property, descriptions, at) as JsonObject
    const description = descriptions[at] ?? alternatives[at]
    return [key, description === undefined ? described : { ...described, description }]
  })
  const inner = Object.entries(value)
    .filter(([key]) => ["anyOf", "allOf", "items", "additionalProperties"].includes(key))
    .map(([key, each]): [string, Json] => [key, withDescriptions(each, descriptions, path)])
  return {
    ...value,
    ...Object.fromEntries(inner),
    ...(properties.length === 0 ? undefined : { properties: Object.fromEntries(properties) })
  }
}

const table = (of: string, description: Json): Json => ({
  type: "object",
  description,
  additionalProperties: { $ref: `#/$defs/${of}` }
})

const descriptionOf = (property: Json | undefined): Json => isObject(property) ? property["description"]! : ""

/** The JSON Schema as a value. */
export const gatewayJsonSchema = (): JsonObject => {
  const file = documentOf(GatewaySchema)
  const described = (document: JsonObject, descriptions: Readonly<Record<string, string>>): JsonObject =>
    withDescriptions(document, descriptions) as JsonObject
  const session = described(
    without(documentOf(SessionOptions.SessionOptions), ["name", ...codeOptions]),
    sessionDescriptions
  )
  const forwarder = described(without(documentOf(ForwarderOptions.ForwarderOptions), ["name"]), forwarderDescriptions)
  const { forwarders, sessions } = propertiesOf(file)
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "The file of effect-mqttx gateway",
    ...file,
    properties: {
      ...propertiesOf(file),
      sessions: table("session", descriptionOf(sessions)),
      forwarders: table("forwarder", descriptionOf(forwarders))
    },
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
        properties: {
          ...propertiesOf(forwarder),
          transforms: {
            type: "array",
            description: "Changes of the payload, in their order.",
            items: { $ref: "#/$defs/transform" }
          }
        }
      },
      transform: { anyOf: Object.values(transformSchemas).map(documentOf) }
    }
  }
}

/** The JSON Schema as the text of its file. */
export const gatewayJsonSchemaText = (): string => `${JSON.stringify(gatewayJsonSchema(), undefined, 2)}\n`
