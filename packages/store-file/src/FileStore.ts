/**
 * A durable session store in a directory. Messages that a session has accepted survive kill -9 and power cuts.
 *
 * One directory serves all sessions of one process at a time. Commits that arrive during a write go to the disk
 * together, with one fsync, and none succeeds before that. Files are readable by their owner only. Checksums detect
 * damage. It is repaired as far as possible, and reported by the load of each session that lost records.
 *
 * **Example** (Keeping the state of a session in a directory)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { FileStore } from "@effect-mqttx/store-file"
 * import { Layer } from "effect"
 *
 * export const Plant = MqttSession.layerDurable({ name: "plant", servers: ["mqtts://broker.example"] }).pipe(
 *   Layer.provide(FileStore.layer({ directory: "/var/lib/plant/mqtt" }))
 * )
 * ```
 */
import { InvalidOptions, MqttError } from "@effect-mqttx/core/MqttError"
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import { type Durability, SessionStore, type SessionStoreHandle } from "@effect-mqttx/core/SessionStore"
import { RecordCollector } from "@effect-mqttx/core/StoreRecordCodec"
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { StoreFailure, toMqttError } from "./internal/failure.ts"
import { FileEngine } from "./internal/fileEngine.ts"

const FieldsSchema = OptionsSchema.strict({
  directory: Schema.NonEmptyString.annotate({ message: "expected the path of a directory" }),
  durability: Schema.Literals(["fsync", "os"]).pipe(Schema.withDecodingDefaultKey(Effect.succeed("fsync" as const)))
})

/**
 * Options of a file store, complete and checked.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface FileStoreOptions extends Schema.Schema.Type<typeof FieldsSchema> {}

/**
 * Options of a file store.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface FileStoreInput {
  /** Made, for its owner only, when it does not exist. Nothing else should write in it. */
  readonly directory: string
  /**
   * `fsync`, the default: a commit survives a power cut. `os`: it survives kill -9. Data that the system has not yet
   * written is lost in a power cut, and reported as lost at the next load.
   */
  readonly durability?: "fsync" | "os" | undefined
}

/**
 * The schema of options: `{ "directory": "/var/lib/plant/mqtt", "durability": "fsync" }`.
 *
 * @stability stable
 * @category schemas
 * @since 0.1.0
 */
export const FileStoreOptions: Schema.Codec<FileStoreOptions, FileStoreInput> = FieldsSchema

const checked = (input: FileStoreInput): Effect.Effect<FileStoreOptions, MqttError> =>
  Effect.suspend(() => Effect.fromResult(OptionsSchema.decode(FieldsSchema, input, "FileStore.make")))

/**
 * Opens the store in a directory as its only owner, until the scope ends.
 *
 * Fails with `InvalidOptions`, and with `StorageFailed` of the kinds `owned` (another process, or another store of this
 * one, has the directory), `newerFormat` (a later version of the library wrote it; nothing is changed), `full`,
 * `readOnly`, `unavailable` and `corrupt`.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: FileStoreInput): Effect.Effect<SessionStore["Service"], MqttError, Scope.Scope> =>
  Effect.gen(function*() {
    const { directory, durability } = yield* checked(options)
    const engine = yield* Effect.acquireRelease(
      Effect.tryPromise({
        try: () => FileEngine.open(directory, durability === "fsync"),
        catch: (error) => toMqttError(error, "FileStore.make")
      }),
      (opened) => Effect.promise(() => opened.close())
    )
    return fromEngine(engine, durability === "fsync" ? "power" : "process")
  })

/**
 * Provides the store to sessions. Fails as `make` does.
 *
 * @stability stable
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: FileStoreInput): Layer.Layer<SessionStore, MqttError> =>
  Layer.effect(SessionStore, make(options))

/**
 * Provides the store to sessions, with options from Config: each by itself, or all as one, for example
 * `Config.schema(FileStore.FileStoreOptions, "store")`.
 *
 * @stability stable
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<FileStoreInput>
): Layer.Layer<SessionStore, MqttError | Config.ConfigError> =>
  Layer.effect(SessionStore, Effect.flatMap(OptionsSchema.unwrap(options, "FileStore.layerConfig"), make))

const fromEngine = (engine: FileEngine, durability: Durability): SessionStore["Service"] => ({
  open: (session) =>
    Effect.acquireRelease(
      typeof session !== "string" ? Effect.fail(noName) : Effect.try({
        try: () => ({ state: engine.openSession(session), isOpen: true }),
        catch: (error) => toMqttError(error, "SessionStore.open", session)
      }),
      (part) =>
        Effect.sync(() => {
          part.isOpen = false
          engine.closeSession(part.state)
        })
    ).pipe(Effect.map((part): SessionStoreHandle => {
      const attempt = <A>(method: string, use: () => Promise<A>): Effect.Effect<A, MqttError> =>
        Effect.tryPromise({
          try: () => part.isOpen ? use() : Promise.reject(sessionClosed()),
          catch: (error) => toMqttError(error, method, session)
        })
      return {
        durability,
        load: Effect.flatMap(
          RecordCollector.make,
          (collector) => attempt("SessionStore.load", () => engine.load(part.state, collector))
        ),
        commit: (changes) =>
          Effect.callback<void, MqttError>((resume) => {
            const settle = (error: unknown) =>
              resume(
                error === undefined ? Effect.void : Effect.fail(toMqttError(error, "SessionStore.commit", session))
              )
            if (part.isOpen) engine.commit(part.state, changes, settle)
            else settle(sessionClosed())
          }),
        clear: attempt("SessionStore.clear", () => engine.clear(part.state))
      }
    }))
})

const noName = new MqttError({
  method: "SessionStore.open",
  reason: new InvalidOptions({ issues: [{ path: "session", message: "must be a text" }] })
})

const sessionClosed = (): StoreFailure => new StoreFailure("closed", "the store of this session is closed")
