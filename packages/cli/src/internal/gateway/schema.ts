/**
 * The schema of the gateway's file: stores, sessions, forwarders, metrics, log and reload. Sessions and forwarders are
 * records here; `configuration.ts` checks them with `SessionOptions` and `ForwarderOptions`, which report every mistake
 * with its path. `jsonSchema.ts` describes all of it for editors.
 */
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
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

const integer = (minimum: number, maximum: number) => {
  const message = `expected a whole number from ${minimum} to ${maximum}`
  return Schema.Number.annotate({ message }).check(
    Schema.makeFilter((value: number) =>
      Number.isInteger(value) && value >= minimum && value <= maximum ? undefined : message
    )
  )
}

const urlMessage = "expected an address such as redis://localhost:6379 or postgres://localhost/plant"

const shortToken = "expected a text of at least 16 characters"

const record = Schema.Record(Schema.String, Schema.Unknown).annotate({ message: "expected a table" })

const storeTypes = ["file", "redis", "sql", "memory"] as const

/** The addresses that each type of store has. */
const storeUrls: Readonly<Record<string, RegExp>> = { redis: /^rediss?:\/\//, sql: /^postgres(?:ql)?:\/\// }

const storeFields = {
  /** What keeps the state of sessions. */
  type: oneOf(storeTypes).annotateKey({
    description: "file, redis and sql (PostgreSQL) keep the state of sessions; memory ends with the process."
  }),
  /** The folder of a file store. */
  directory: Schema.optionalKey(nonEmptyText.annotateKey({
    description: "Of a file store; relative to the folder of the configuration."
  })),
  /** What a commit to a file store survives. */
  durability: Schema.optionalKey(
    oneOf(["fsync", "os"]).annotateKey({
      description: "Of a file store. fsync: a commit survives a power cut; os: the end of the process. Default fsync."
    })
  ),
  /** The address of Redis or PostgreSQL. */
  url: Schema.optionalKey(
    Schema.RedactedFromValue(
      Schema.String.annotate({ message: urlMessage }).check(
        Schema.makeFilter((value: string) =>
          URL.canParse(value) && Object.values(storeUrls).some((start) => start.test(value)) ? undefined : urlMessage
        )
      ),
      { label: "url" }
    ).annotateKey({
      description: "Of Redis: redis://user:password@host:6379/0, or rediss:// for TLS. " +
        "Of PostgreSQL: postgres://user:password@host:5432/database, with ?sslmode=require for TLS."
    })
  ),
  /** What the keys of a Redis store begin with. */
  keyPrefix: Schema.optionalKey(nonEmptyText.annotateKey({
    description: "Of a Redis store: what its keys begin with. Default mqttx:session:."
  })),
  /** What the names of the tables of a SQL store begin with. */
  tablePrefix: Schema.optionalKey(nonEmptyText.annotateKey({
    description: "Of a SQL store: what the names of its two tables begin with. Default mqttx."
  }))
}

/** The options that each type of store has; the first one is needed. */
const storeOptions: Readonly<Record<typeof storeTypes[number], ReadonlyArray<string>>> = {
  file: ["directory", "durability"],
  redis: ["url", "keyPrefix"],
  sql: ["url", "tablePrefix"],
  memory: []
}

const logFields = {
  level: withDefault(
    oneOf(["trace", "debug", "info", "warn", "error", "off"]).annotateKey({
      description: "Lines below this level are not written. Default info."
    }),
    "info"
  ),
  format: withDefault(
    oneOf(["logfmt", "json", "pretty"]).annotateKey({ description: "The form of the lines. Default logfmt." }),
    "logfmt"
  ),
  sessions: withDefault(
    oneOf(["warnings", "all", "off"]).annotateKey({
      description: "What sessions write: their warnings, also their connections, or nothing. Default all."
    }),
    "all"
  )
}

const metricsFields = {
  host: withDefault(
    nonEmptyText.annotateKey({ description: "The address to listen at. Default 127.0.0.1." }),
    "127.0.0.1"
  ),
  port: withDefault(port.annotateKey({ description: "The port to listen at; 0: any free one. Default 9464." }), 9464),
  perSessionSeries: withDefault(
    flag.annotateKey({
      description: "Whether each session has series of its own, besides those of all sessions. Default true."
    }),
    true
  ),
  title: withDefault(text.annotateKey({ description: "The title of the live page. Default gateway." }), "gateway"),
  allowedHosts: withDefault(
    Schema.Array(text).annotate({ message: "expected an array of texts" }).annotateKey({
      description: "Names by which browsers may reach the server, besides addresses and localhost. Default none."
    }),
    []
  )
}

const adminFields = {
  host: withDefault(
    nonEmptyText.annotateKey({
      description: "The address to listen at; another one than loopback needs a token. Default 127.0.0.1."
    }),
    "127.0.0.1"
  ),
  port: withDefault(port.annotateKey({ description: "The port to listen at; 0: any free one. Default 9465." }), 9465),
  topics: Schema.optionalKey(
    OptionsSchema.strict({
      entries: withDefault(
        integer(1, 100_000).annotateKey({ description: "How many topics are kept. Default 1000." }),
        1000
      ),
      bytes: withDefault(
        integer(1024, 268_435_456).annotateKey({
          description: "How many bytes the topics and their last payloads may take. Default 1048576."
        }),
        1_048_576
      )
    }).annotateKey({
      description:
        "Shows the topics of received messages with their rates and last payloads. Default: they are not kept."
    })
  ),
  token: Schema.optionalKey(
    Schema.RedactedFromValue(
      Schema.String.annotate({ message: shortToken }).check(Schema.isMinLength(16, { message: shortToken })),
      { label: "token" }
    ).annotateKey({
      description: "Requests need it as Authorization: Bearer TOKEN; at least 16 characters. Default: none."
    })
  )
}

const isLoopback = (host: string): boolean => /^(localhost|::1|127\.\d+\.\d+\.\d+)$/.test(host)

const reloadFields = {
  watch: withDefault(
    flag.annotateKey({ description: "Whether a change of the file is applied; SIGHUP always is. Default true." }),
    true
  ),
  interval: withDefault(
    duration("100 millis").annotateKey({
      description: "The time between two looks at the file and the files that it names. Default 1 second."
    }),
    "1 second"
  )
}

const clusterFields = {
  /** The address of this node for the others. */
  host: nonEmptyText.annotateKey({
    description: "The address by which the other nodes reach this one, for example ${NODE_ADDRESS}.",
    messageMissingKey: "expected the address of this node, for example host = \"${NODE_ADDRESS}\""
  }),
  /** The port for the other nodes. */
  port: withDefault(
    port.check(
      Schema.makeFilter((value: number | string) => Number(value) === 0 ? "expected a port, 1 to 65535" : undefined)
    ).annotateKey({
      description: "The port by which the other nodes reach this one. It has no TLS and no password. Default 34431."
    }),
    34_431
  ),
  /** Where to listen. */
  listenHost: Schema.optionalKey(
    nonEmptyText.annotateKey({ description: "The address to listen at, for example 0.0.0.0. Default: host." })
  ),
  /** The store with the locks. */
  store: Schema.optionalKey(
    nonEmptyText.annotateKey({
      description: "The store whose database has the locks and the list of nodes. Default: the one of the type sql."
    })
  ),
  /** How soon another node takes over. */
  timings: withDefault(
    oneOf(["failover", "patient"]).annotateKey({
      description:
        "How soon another node takes over. failover: after 3 to 5 seconds; patient: after 35 to 40 seconds. " +
        "Default failover."
    }),
    "failover"
  )
}

/** The options of a store. */
export const StoreSchema = OptionsSchema.strict(storeFields).check(
  Schema.makeFilter((store: Schema.Struct.Type<typeof storeFields>) => {
    const names = storeOptions[store.type]
    const [needed] = names
    if (needed !== undefined && !(needed in store)) {
      return { path: [needed], issue: `a store of the type ${store.type} needs it` }
    }
    const url = store.url === undefined ? "" : Redacted.value(store.url)
    if (names.includes("url") && !storeUrls[store.type]!.test(url)) {
      return { path: ["url"], issue: `expected an address of ${store.type === "sql" ? "PostgreSQL" : "Redis"}` }
    }
    const other = Object.keys(store).find((key) => key !== "type" && !names.includes(key))
    return other === undefined ? undefined : { path: [other], issue: `a store of the type ${store.type} has none` }
  })
)

export type StoreOptions = typeof StoreSchema.Type

/** The options of the admin interface. */
export const AdminSchema = OptionsSchema.strict(adminFields).check(
  Schema.makeFilter(({ host, token }: { readonly host: string; readonly token?: unknown }) =>
    token === undefined && !isLoopback(host)
      ? { path: ["token"], issue: "is needed on an address that other machines may reach" }
      : undefined
  )
)

/** The options of a node of a cluster. */
export const ClusterSchema = OptionsSchema.strict(clusterFields)

export type ClusterOptions = typeof ClusterSchema.Type

const table = { message: "expected a table" }

/** The whole file. */
export const GatewaySchema = OptionsSchema.strict({
  $schema: Schema.optionalKey(text.annotateKey({ description: "The address of the JSON Schema, for editors." })),
  drainTimeout: withDefault(
    duration("1 second").annotateKey({ description: "How long the end of the process may take. Default 25 seconds." }),
    "25 seconds"
  ),
  flightRecords: withDefault(
    nonEmptyText.annotateKey({
      description:
        "The folder for the flight records of sessions with `flightRecorder`, relative to that of this file; read when the gateway starts. Default `flight-records`."
    }),
    "flight-records"
  ),
  log: withDefault(
    OptionsSchema.strict(logFields).annotateKey({ description: "The lines on the standard error." }),
    {}
  ),
  reload: withDefault(
    OptionsSchema.strict(reloadFields).annotateKey({ description: "When the file is read again." }),
    {}
  ),
  metrics: Schema.optionalKey(
    OptionsSchema.strict(metricsFields).annotateKey({
      description: "The server for operators: metrics, health and the live page. Default: there is none."
    })
  ),
  admin: Schema.optionalKey(AdminSchema.annotateKey({
    description: "The server to change the gateway by. Default: there is none."
  })),
  cluster: Schema.optionalKey(ClusterSchema.annotateKey({
    description: "Several gateways with this file, of which one at a time owns its sessions and forwarders. Default: " +
      "this gateway is alone."
  })),
  stores: withDefault(
    Schema.Record(Schema.String, StoreSchema).annotate(table).annotateKey({
      description: "Where durable sessions keep their state, by name."
    }),
    {}
  ),
  sessions: Schema.Record(Schema.String, record).annotate(table).annotateKey({
    description: "The connections to brokers, by name.",
    messageMissingKey: "expected sessions, for example [sessions.plant] with servers"
  }),
  forwarders: withDefault(
    Schema.Record(Schema.String, record).annotate(table).annotateKey({
      description: "What is forwarded from sessions to a session, by name."
    }),
    {}
  )
})

export type GatewayFile = typeof GatewaySchema.Type
