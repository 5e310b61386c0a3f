/**
 * Credentials in files: a mounted Kubernetes secret, a service account token, a certificate that another program
 * renews. The files are read before each attempt to connect. With `refreshOnChange` a change is used at once.
 *
 * This module needs Effect's `FileSystem`, which is not stable yet.
 *
 * **Example** (Following a mounted secret)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { FileCredentials } from "@effect-mqttx/credentials"
 * import { Layer } from "effect"
 * import { NodeFileSystem } from "@effect/platform-node"
 *
 * const files = { password: "/var/run/secrets/mqtt/token" }
 * const Plant = MqttSession.layer({
 *   name: "plant",
 *   servers: ["mqtts://broker.example"],
 *   username: "plant",
 *   credentials: FileCredentials.make(files)
 * })
 * export const Live = FileCredentials.layerRefresh(files).pipe(
 *   Layer.provideMerge(Plant),
 *   Layer.provide(NodeFileSystem.layer)
 * )
 * ```
 */
import { type Credentials, CredentialsError } from "@effect-mqttx/core/Credentials"
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

/**
 * The paths of the files.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Files {
  /** The user name. Default: the option of the session. */
  readonly username?: string | undefined
  /** The password. Default: the option of the session. */
  readonly password?: string | undefined
  /** Trusted authorities, PEM. */
  readonly ca?: string | undefined
  /** The client's certificate with its chain, PEM. */
  readonly cert?: string | undefined
  /** The key of the certificate, PEM. */
  readonly key?: string | undefined
  /** The client's certificate and key in one PKCS #12 archive, in place of `cert` and `key`. */
  readonly pfx?: string | undefined
  /** The passphrase of `key` or `pfx`. White space at its end is not part of it. */
  readonly passphrase?: string | undefined
  /** Revocation lists, PEM. */
  readonly crl?: string | undefined
}

/** No file of credentials is larger, in bytes. */
const largest = 1_048_576

const read = (path: string): Effect.Effect<Uint8Array, CredentialsError, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const { size } = yield* fs.stat(path)
    if (Number(size) > largest) {
      return yield* new CredentialsError({ detail: `${path} is larger than ${largest} bytes` })
    }
    return yield* fs.readFile(path)
  }).pipe(
    Effect.mapError((error) =>
      error._tag === "CredentialsError"
        ? error
        : new CredentialsError({ detail: `${path} cannot be read: ${error.reason._tag}` })
    )
  )

const readText = (path: string): Effect.Effect<string, CredentialsError, FileSystem.FileSystem> =>
  Effect.map(read(path), (bytes) => new TextDecoder().decode(bytes))

/**
 * Reads the files. White space at the end of user name and password is not part of them. Fails, and is tried again,
 * while a file cannot be read.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const make = (files: Files): Effect.Effect<Credentials, CredentialsError, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const texts: { -readonly [Name in keyof Files]?: string } = {}
    for (const name of ["username", "password", "ca", "cert", "key", "passphrase", "crl"] as const) {
      const path = files[name]
      if (path !== undefined) texts[name] = yield* readText(path)
    }
    const pfx = files.pfx === undefined ? undefined : yield* read(files.pfx)
    const { ca, cert, crl, key, passphrase, password, username } = texts
    const tls = {
      ...(ca === undefined ? undefined : { ca }),
      ...(cert === undefined ? undefined : { cert }),
      ...(key === undefined ? undefined : { key: Redacted.make(key) }),
      ...(pfx === undefined ? undefined : { pfx: Redacted.make(pfx) }),
      ...(passphrase === undefined ? undefined : { passphrase: Redacted.make(passphrase.trimEnd()) }),
      ...(crl === undefined ? undefined : { crl })
    }
    return {
      ...(username === undefined ? undefined : { username: username.trimEnd() }),
      ...(password === undefined ? undefined : { password: Redacted.make(password.trimEnd()) }),
      ...(Object.keys(tls).length === 0 ? undefined : { tls })
    }
  })

/**
 * Watches the folders of the files until the scope ends, and refreshes the session's credentials when the contents have
 * changed. (The files of a Kubernetes secret are links into a folder that is replaced, so watching the files alone
 * would miss the change.) A refresh that fails is logged, and tried again with the next change.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const refreshOnChange =
  (files: Files) => (session: MqttSession.Session): Effect.Effect<void, never, FileSystem.FileSystem | Scope.Scope> =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const paths = Object.values(files).filter((path) => path !== undefined)
      const folders = new Set(paths.map((path) => path.replace(/[^/\\]*$/, "") || "."))
      const fingerprint = Effect.map(
        Effect.forEach(paths, (path) => Effect.option(fs.readFileString(path))),
        (texts) => JSON.stringify(texts.map((text) => text._tag === "Some" ? text.value : undefined))
      )
      let known = yield* fingerprint
      const check = Effect.gen(function*() {
        const now = yield* fingerprint
        if (now === known) return
        yield* session.refreshCredentials
        known = now
      }).pipe(Effect.catch((error) =>
        Effect.logWarning("the changed credentials are not in force").pipe(
          Effect.annotateLogs({ session: session.name, reason: error.reason._tag })
        )
      ))
      const changes = Stream.mergeAll(Array.from(folders, (folder) => fs.watch(folder)), { concurrency: "unbounded" })
      yield* changes.pipe(
        // A writer makes several changes, and several files belong together.
        Stream.debounce("200 millis"),
        Stream.runForEach(() => check),
        // A folder that is removed or made again ends the watch.
        Effect.catch(() => Effect.void),
        Effect.andThen(Effect.sleep("1 second")),
        Effect.andThen(check),
        Effect.repeat(Schedule.forever),
        Effect.forkScoped({ startImmediately: true })
      )
    })

/**
 * `refreshOnChange` for the session in the context, for the life of the layer.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerRefresh = (
  files: Files
): Layer.Layer<never, never, MqttSession.MqttSession | FileSystem.FileSystem> =>
  Layer.effectDiscard(Effect.flatMap(MqttSession.MqttSession, refreshOnChange(files)))
