/**
 * Serves the admin interface of a gateway, and its page. Who knows the token may do everything; without a token, only
 * programs on this machine may, and of web pages only its own: browsers name the site of a page in `Origin`, and the
 * name that they connect to in `Host`.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Crypto from "node:crypto"
import * as Http from "node:http"
import { type CommandFailed, usage } from "../failure.ts"
import { AdminApi, NoSuchForwarder, NoSuchMessage, NotApplied, NotResumed, NotSent, type Reloaded } from "./adminApi.ts"
import type { Configuration } from "./configuration.ts"
import { configurationView } from "./configurationView.ts"
import { controlPage, controlPageHeaders } from "./controlPage.ts"
import { listenCode } from "./listener.ts"
import type * as Reload from "./reload.ts"
import type { Flows, GatewayRuntime } from "./runtime.ts"
import type { GatewayFile } from "./schema.ts"

type Settings = NonNullable<GatewayFile["admin"]>

export interface AdminParts {
  readonly file: string
  readonly runtime: GatewayRuntime
  /** What this node is in its cluster; undefined: the gateway is alone. */
  readonly cluster: () => Flows["cluster"]
  readonly reload: Effect.Effect<Reloaded, Reload.NotApplied>
  /** What is applied now. */
  readonly configuration: () => Configuration
  /** Begins the end of the process. */
  readonly drain: Effect.Effect<void>
}

const handlers = ({ cluster, configuration, drain, file, reload, runtime }: AdminParts) =>
  HttpApiBuilder.group(AdminApi, "gateway", (endpoints) =>
    endpoints.handleAll({
      state: () =>
        Effect.map(runtime.state, (state) => {
          const node = cluster()
          return { file, ...(node === undefined ? undefined : { cluster: node }), ...state }
        }),
      reload: () => Effect.mapError(reload, ({ mistakes }) => new NotApplied({ mistakes })),
      pause: ({ params: { name } }) => Effect.mapError(runtime.pause(name), () => new NoSuchForwarder({ name })),
      resume: ({ params: { name } }) =>
        Effect.mapError(runtime.resume(name), ({ reason }) =>
          reason._tag === "ForwarderNotFound"
            ? new NoSuchForwarder({ name })
            : new NotResumed({ name, detail: reason.message })),
      // By way of JSON, because durations and the like are no JSON values.
      configuration: () =>
        Effect.sync(() => JSON.parse(JSON.stringify(configurationView(configuration()))) as Schema.Json),
      failed: () => Effect.sync(() => runtime.failedMessages.list),
      sendAgain: ({ params: { id } }) => {
        const sent = runtime.sendAgain(id)
        return sent === undefined
          ? Effect.fail(new NoSuchMessage({ id }))
          : Effect.mapError(sent, (detail) => new NotSent({ id, detail }))
      },
      topics: () =>
        Effect.map(Clock.currentTimeMillis, (now) => ({
          isOn: runtime.topicsSeen.isOn,
          topics: runtime.topicsSeen.list(now)
        })),
      drain: () => drain
    }))

const loopbackNames = ["localhost", "127.0.0.1", "[::1]"]

const digest = (text: string): Buffer => Crypto.createHash("sha256").update(text).digest()

const refusal = (status: number, text: string): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(text, { status, headers: status === 401 ? { "www-authenticate": "Bearer" } : {} })

/** Why a request is refused; undefined: it is not. The page has no data, so it needs no token. */
const refuse = (
  token: Redacted.Redacted<string> | undefined,
  { headers, method, url }: Pick<HttpServerRequest.HttpServerRequest, "headers" | "method" | "url">
): HttpServerResponse.HttpServerResponse | undefined => {
  if (token !== undefined) {
    if (method === "GET" && url === "/") return undefined
    const given = /^Bearer (.+)$/i.exec(headers["authorization"] ?? "")?.[1] ?? ""
    // Of equal length, so that the time of the comparison says nothing.
    return Crypto.timingSafeEqual(digest(given), digest(Redacted.value(token)))
      ? undefined
      : refusal(401, "a token is needed: Authorization: Bearer TOKEN\n")
  }
  const address = (headers["host"] ?? "").toLowerCase()
  const { origin } = headers
  if (origin !== undefined && origin.toLowerCase() !== `http://${address}`) {
    return refusal(403, "without a token, no other web page may use this interface\n")
  }
  const host = address.replace(/:\d*$/, "")
  return loopbackNames.includes(host) ? undefined : refusal(403, `without a token, use ${loopbackNames.join(", ")}\n`)
}

const guard = (token: Redacted.Redacted<string> | undefined) =>
  HttpRouter.middleware(
    (handler) =>
      Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
        const refused = refuse(token, request)
        return refused === undefined ? handler : Effect.succeed(refused)
      }),
    { global: true }
  )

const timeouts = { headersTimeout: 10_000, requestTimeout: 10_000, keepAliveTimeout: 10_000 }

/** Listens until the scope ends, and answers its URL. */
export const listenForAdmin =
  (parts: AdminParts) => ({ host, port, token }: Settings): Effect.Effect<string, CommandFailed, Scope.Scope> => {
    const page = HttpRouter.add(
      "GET",
      "/",
      Effect.sync(() =>
        HttpServerResponse.text(controlPage, { contentType: "text/html; charset=utf-8", headers: controlPageHeaders })
      )
    )
    const routes = Layer.mergeAll(
      page,
      HttpApiBuilder.layer(AdminApi, { openapiPath: "/openapi.json" }).pipe(Layer.provide(handlers(parts))),
      guard(token)
    )
    const server = NodeHttpServer.layer(() => Http.createServer(timeouts), {
      host,
      port: Number(port),
      gracefulShutdownTimeout: "1 second"
    })
    return Layer.build(
      HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(Layer.provideMerge(server))
    ).pipe(
      Effect.map((context) => HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address)),
      Effect.mapError(({ cause }) =>
        usage(
          `the admin server cannot listen on ${host}:${port}: ${listenCode(cause)}`,
          "Give it another [admin] port."
        )
      )
    )
  }
