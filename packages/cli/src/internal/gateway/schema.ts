/**
 * The schema of the gateway's file: stores, sessions, forwarders, metrics, log and reload. Sessions and forwarders are
 * records here; `configuration.ts` checks them with `SessionOptions` and `ForwarderOptions`, which report every mistake
 * with its path. `jsonSchema.ts` describes all of it for editors.
 */
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const withDefault = <S extends Schema.Top>(schema: S, value: S["Encoded"]): Schema.withDecodingDefaultKey<S> =>
  schema.pipe(Schema.withDecodingDefaultKey(Effect.succeed(value)))

const text = Schema.String.annotate({ message: "expected a text" })
const nonEmptyText = Schema.NonEmptyString.annotate({ message: "expected a text that is not empty" })
const flag = Schema.Boolean.annotate({ message: "expected true or false" })
const oneOf = <const L extends ReadonlyArray<string>>(literals: L) =>
  Schema.Literals(literals).annotate({ message: `expected one of ${literals.join(", ")}` })

const duration = (minimum: Duration.Input) =>
  OptionsSchema.duration({
    minimum,
    maximum: "1 day",
    message: `expected ${Duration.toMillis(minimum)} ms to 1 day, for example "30 seconds"`
  })

const port = Schema.Union([Schema.Number, Schema.String]).annotate({ message: "expected a port, 0 to 65535" }).check(
  Schema.makeFilter((value: number | string) => {
    const number = value === "" ? NaN : Number(value)
    return Number.isInteger(number) && number >= 0 && number <= 65_535 ? undefined : "expected a port, 0 to 65535"
  })
)

const redisUrl = "expected an address such as redis://localhost:6379"

const shortToken = "expected a text of at least 16 characters"

const record = Schema.Record(Schema.String, Schema.Unknown).annotate({ message: "expected a table" })

const storeTypes = ["file", "redis", "memory"] as const

const storeFields = {
  /** `file` and `redis` keep the state of sessions; `memory` ends with the process. */
  type: oneOf(storeTypes),
  /** Of a file store; relative to the folder of the configuration. */
  directory: Schema.optionalKey(nonEmptyText),
  /** Of a file store, see `FileStoreInput`. Default `fsync`. */
  durability: Schema.optionalKey(oneOf(["fsync", "os"])),
  /** Of a Redis store: `redis://user:password@host:6379/0`, or `rediss://` for TLS. */
  url: Schema.optionalKey(
    Schema.RedactedFromValue(
      Schema.String.annotate({ message: redisUrl }).check(
        Schema.makeFilter((value: string) => /^rediss?:\/\//.test(value) && URL.canParse(value) ? undefined : redisUrl)
      ),
      { label: "url" }
    )
  ),
  /** Of a Redis store, see `RedisStoreInput`. Default `mqttx:session:`. */
  keyPrefix: Schema.optionalKey(nonEmptyText)
}

/** The options that each type of store has; the first one is needed. */
const storeOptions: Readonly<Record<typeof storeTypes[number], ReadonlyArray<string>>> = {
  file: ["directory", "durability"],
  redis: ["url", "keyPrefix"],
  memory: []
}

const logFields = {
  /** Lines below this level are not written. Default `info`. */
  level: withDefault(oneOf(["trace", "debug", "info", "warn", "error", "off"]), "info"),
  /** Default `logfmt`. */
  format: withDefault(oneOf(["logfmt", "json", "pretty"]), "logfmt"),
  /** What sessions write, see `SessionLog`. Default `all`. */
  sessions: withDefault(oneOf(["warnings", "all", "off"]), "all")
}

const metricsFields = {
  /** Default 127.0.0.1. */
  host: withDefault(nonEmptyText, "127.0.0.1"),
  /** 0: any free one. Default 9464. */
  port: withDefault(port, 9464),
  /** The title of the live page. Default `gateway`. */
  title: withDefault(text, "gateway"),
  /** See `MetricsRoutesOptions.allowedHosts`. Default none. */
  allowedHosts: withDefault(Schema.Array(text).annotate({ message: "expected an array of texts" }), [])
}

const adminFields = {
  /** Default 127.0.0.1. Another address needs a token. */
  host: withDefault(nonEmptyText, "127.0.0.1"),
  /** 0: any free one. Default 9465. */
  port: withDefault(port, 9465),
  /** Requests need it as `Authorization: Bearer TOKEN`; at least 16 characters. Default: none. */
  token: Schema.optionalKey(
    Schema.RedactedFromValue(
      Schema.String.annotate({ message: shortToken }).check(Schema.isMinLength(16, { message: shortToken })),
      { label: "token" }
    )
  )
}

const isLoopback = (host: string): boolean => /^(localhost|::1|127\.\d+\.\d+\.\d+)$/.test(host)

const reloadFields = {
  /** Whether a change of the file is applied; SIGHUP always is. Default true. */
  watch: withDefault(flag, true),
  /** The time between two looks at the file and the files that it names. Default 1 s. */
  interval: withDefault(duration("100 millis"), "1 second")
}

/** The options of a store. */
export const StoreSchema = OptionsSchema.strict(storeFields).check(
  Schema.makeFilter((store: Schema.Struct.Type<typeof storeFields>) => {
    const names = storeOptions[store.type]
    const [needed] = names
    if (needed !== undefined && !(needed in store)) {
      return { path: [needed], issue: `a store of the type ${store.type} needs it` }
    }
    const other = Object.keys(store).find((key) => key !== "type" && !names.includes(key))
    return other === undefined ? undefined : { path: [other], issue: `a store of the type ${store.type} has none` }
  })
)

export type StoreOptions = typeof StoreSchema.Type

/** The options of the admin interface. */
export const AdminSchema = OptionsSchema.strict(adminFields).check(
  Schema.makeFilter(({ host, token }: Schema.Struct.Type<typeof adminFields>) =>
    token === undefined && !isLoopback(host)
      ? { path: ["token"], issue: "is needed on an address that other machines may reach" }
      : undefined
  )
)

/** The whole file. */
export const GatewaySchema = OptionsSchema.strict({
  /** The address of the JSON Schema, for editors. */
  $schema: Schema.optionalKey(text),
  /** How long the end of the process may take. Default 25 s. */
  drainTimeout: withDefault(duration("1 second"), "25 seconds"),
  /**
   * The folder for the flight records of sessions with `flightRecorder`, relative to that of this file; read when the
   * gateway starts. Default `flight-records`.
   */
  flightRecords: withDefault(nonEmptyText, "flight-records"),
  log: withDefault(OptionsSchema.strict(logFields), {}),
  reload: withDefault(OptionsSchema.strict(reloadFields), {}),
  /** The server for operators; absent: there is none. */
  metrics: Schema.optionalKey(OptionsSchema.strict(metricsFields)),
  /** The server to change the gateway by; absent: there is none. */
  admin: Schema.optionalKey(AdminSchema),
  stores: withDefault(Schema.Record(Schema.String, StoreSchema).annotate({ message: "expected a table" }), {}),
  sessions: Schema.Record(Schema.String, record).annotate({ message: "expected a table" }).annotateKey({
    messageMissingKey: "expected sessions, for example [sessions.plant] with servers"
  }),
  forwarders: withDefault(Schema.Record(Schema.String, record).annotate({ message: "expected a table" }), {})
})

export type GatewayFile = typeof GatewaySchema.Type
