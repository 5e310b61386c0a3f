/**
 * `MqttError` as the error of an HTTP API: a real server of Effect's HttpApi, and a real client.
 */
import * as MqttError from "@effect-mqttx/core/MqttError"
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { HttpClient, HttpClientRequest, HttpRouter } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiClient, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { readFileSync } from "node:fs"

const reasons = {
  BadCredentials: [new MqttError.BadCredentials({ reasonCode: 0x86 }), 401],
  ClientIdentifierRejected: [new MqttError.ClientIdentifierRejected({ clientId: "a" }), 502],
  Closed: [new MqttError.Closed(), 503],
  ConnectionLost: [new MqttError.ConnectionLost({}), 503],
  CredentialsFailed: [new MqttError.CredentialsFailed({ detail: "sealed" }), 503],
  ConnectionRefused: [new MqttError.ConnectionRefused({ cause: new Error("ECONNREFUSED") }), 503],
  Dropped: [new MqttError.Dropped({ policy: "dropOldest" }), 503],
  DuplicateForwarder: [new MqttError.DuplicateForwarder({ forwarder: "f" }), 409],
  DuplicateSession: [new MqttError.DuplicateSession({ session: "s" }), 409],
  Expired: [new MqttError.Expired(), 504],
  ForwarderFailed: [new MqttError.ForwarderFailed({ forwarder: "f", detail: "loop" }), 500],
  ForwarderNotFound: [new MqttError.ForwarderNotFound({ forwarder: "f" }), 404],
  Indeterminate: [new MqttError.Indeterminate({ refusal: "too large" }), 504],
  InvalidFilter: [new MqttError.InvalidFilter({ filter: "a#", offset: 1, detail: "not alone" }), 400],
  InvalidOptions: [new MqttError.InvalidOptions({ issues: [{ path: "qos", message: "must be 0, 1 or 2" }] }), 400],
  InvalidPayload: [new MqttError.InvalidPayload({ detail: "no text", direction: "sent" }), 400],
  InvalidTopic: [new MqttError.InvalidTopic({ topic: "a+", offset: 1, detail: "a wildcard" }), 400],
  NotAuthorized: [new MqttError.NotAuthorized({ reasonCode: 0x87 }), 403],
  NotSupported: [new MqttError.NotSupported({ feature: "retain", detail: "not kept" }), 501],
  PacketTooLarge: [new MqttError.PacketTooLarge({ size: 2, maximum: 1 }), 413],
  PoisonMessage: [new MqttError.PoisonMessage({ connections: 3, last: "ECONNRESET" }), 502],
  ProtocolViolation: [new MqttError.ProtocolViolation({ reasonCode: 0x81, detail: "x" }), 502],
  ProxyFailed: [new MqttError.ProxyFailed({ proxy: "http://a:80", failure: "unreachable" }), 503],
  PublishRefused: [new MqttError.PublishRefused({ reasonCode: 0x80 }), 502],
  QueueFull: [new MqttError.QueueFull({ messages: 1, bytes: 2 }), 503],
  RequestFailed: [new MqttError.RequestFailed({ status: "error" }), 502],
  ServerMoved: [new MqttError.ServerMoved({ reasonCode: 0x9d }), 503],
  SessionLost: [new MqttError.SessionLost({}), 503],
  SessionNotFound: [new MqttError.SessionNotFound({ session: "s" }), 404],
  SessionTakenOver: [new MqttError.SessionTakenOver({ clientId: "a" }), 503],
  StorageFailed: [new MqttError.StorageFailed({ detail: "full" }), 503],
  SubscriptionConflict: [new MqttError.SubscriptionConflict({ filter: "a", detail: "x" }), 409],
  SubscriptionRefused: [new MqttError.SubscriptionRefused({ filter: "a", reasonCode: 0x80 }), 502],
  Timeout: [new MqttError.Timeout({ operation: "publish", millis: 1 }), 504],
  TlsFailure: [new MqttError.TlsFailure({ code: "CERT_HAS_EXPIRED" }), 502],
  Unexpected: [new MqttError.Unexpected({ detail: "a defect" }), 500],
  UnsubscribeRefused: [new MqttError.UnsubscribeRefused({ filter: "a", reasonCode: 0x80 }), 502],
  UnsupportedVersion: [new MqttError.UnsupportedVersion({ protocolVersion: 5 }), 502]
} satisfies { readonly [Tag in MqttError.MqttErrorReason["_tag"]]: readonly [MqttError.MqttErrorReason, number] }

/** Reasons of which some are not what the others are. */
const special: ReadonlyArray<readonly [MqttError.MqttErrorReason, number]> = [
  [new MqttError.InvalidPayload({ detail: "x", direction: "received" }), 502],
  [new MqttError.PublishRefused({ reasonCode: 0x87 }), 403],
  [new MqttError.PublishRefused({ reasonCode: 0x90 }), 400],
  [new MqttError.PublishRefused({ reasonCode: 0x95 }), 413],
  [new MqttError.PublishRefused({ reasonCode: 0x97 }), 429],
  [new MqttError.PublishRefused({ reasonCode: 0x99 }), 400],
  [new MqttError.SubscriptionRefused({ filter: "a", reasonCode: 0x87 }), 403],
  [new MqttError.SubscriptionRefused({ filter: "a", reasonCode: 0x8f }), 400],
  [new MqttError.RequestFailed({ status: "invalid" }), 400],
  [new MqttError.RequestFailed({ status: "noResponder" }), 503]
]

const table = [...Object.values(reasons), ...special].map(([reason, status]) => [reason._tag, status, reason] as const)

const thrown = new Map<string, MqttError.MqttErrorReason>()

class Api extends HttpApi.make("api").add(
  HttpApiGroup.make("mqtt", { topLevel: true })
    .add(HttpApiEndpoint.post("publish", "/publish", {
      payload: Schema.Struct({ topic: Schema.String, payload: Schema.Json, qos: Schema.Number }),
      success: Schema.Struct({ reasonCode: Schema.Number }),
      error: MqttError.httpErrors
    }))
    .add(HttpApiEndpoint.get("whole", "/whole/:id", {
      params: { id: Schema.String },
      error: MqttError.httpErrors
    }))
    .add(HttpApiEndpoint.get("reason", "/reason/:id", {
      params: { id: Schema.String },
      error: MqttError.MqttErrorReason.members
    }))
) {}

const failure = (id: string): Effect.Effect<never, MqttError.MqttError> =>
  Effect.fail(new MqttError.MqttError({ reason: thrown.get(id)!, session: "plant", topic: "a" }))

const Handlers = HttpApiBuilder.group(Api, "mqtt", (handlers) =>
  handlers.handleAll({
    publish: Effect.fnUntraced(function*({ payload: { payload, qos, topic } }) {
      const session = yield* MqttSession.MqttSession
      return yield* session.publish(topic, payload as never, { qos: qos as 1 })
    }),
    whole: ({ params }) => failure(params.id),
    reason: ({ params }) => Effect.unwrapReason(failure(params.id), "MqttError")
  }))

const Session = MqttSession.layer({ name: "plant", servers: ScriptedBroker.memoryUrl }).pipe(
  Layer.provideMerge(ScriptedBroker.layerMemory())
)

const Server = HttpRouter.serve(HttpApiBuilder.layer(Api).pipe(Layer.provide(Handlers)), { disableLogger: true }).pipe(
  Layer.provide(Session),
  Layer.provideMerge(NodeHttpServer.layerTest)
)

describe("MqttError", () => {
  it("has the statuses that the documentation shows", () => {
    const page = readFileSync(new URL("../../../../docs/errors.md", import.meta.url), "utf8")
    const shown = Array.from(
      page.matchAll(/^\| `(\w+)` +\| (\d{3}) /gm),
      ([, tag, status]) => [tag!, Number(status)] as const
    )
    assert.sameDeepMembers(
      shown,
      Object.entries(reasons).map(([tag, [, status]]) => [tag, status] as const)
    )
  })

  it.each(table)("of the reason %s has the HTTP status %i", (_, status, reason) => {
    assert.strictEqual(new MqttError.MqttError({ reason }).httpStatus, status)
  })
})

layer(Server, { excludeTestServices: true })("an HTTP API", (it) => {
  it.effect.each(table)(
    "that fails with %s answers %i, and its client gets the error",
    ([tag, status, reason]) =>
      Effect.gen(function*() {
        const id = `${tag}-${status}`
        thrown.set(id, reason)
        const response = yield* HttpClient.get(`/whole/${id}`)
        assert.strictEqual(response.status, status)
        const client = yield* HttpApiClient.make(Api)
        const error = yield* Effect.flip(client.whole({ params: { id } }))
        assert.instanceOf(error, MqttError.MqttError)
        assert.strictEqual((error as MqttError.MqttError).reason.constructor, reason.constructor)
        assert.strictEqual((error as MqttError.MqttError).session, "plant")
      })
  )

  it.effect.each(Object.entries(reasons))(
    "that unwraps its errors declares the reason %s with its status",
    ([tag, [reason, status]]) =>
      Effect.gen(function*() {
        thrown.set(tag, reason)
        assert.strictEqual((yield* HttpClient.get(`/reason/${tag}`)).status, status)
      })
  )

  it.effect("answers 400 to a wrong topic, payload or option, never 500", () =>
    Effect.gen(function*() {
      const post = (body: { readonly topic: string; readonly payload: unknown; readonly qos: number }) =>
        Effect.flatMap(
          HttpClientRequest.bodyJson(HttpClientRequest.post("/publish"), body),
          (request) => HttpClient.execute(request)
        )
      const good = { topic: "a", payload: "text", qos: 1 }
      assert.strictEqual((yield* post(good)).status, 200)
      for (
        const [wrong, tag] of [
          [{ topic: "a/#" }, "InvalidTopic"],
          [{ topic: "" }, "InvalidTopic"],
          [{ payload: { celsius: 5 } }, "InvalidPayload"],
          [{ payload: null }, "InvalidPayload"],
          [{ payload: 5 }, "InvalidPayload"],
          [{ qos: 3 }, "InvalidOptions"]
        ] as const
      ) {
        const response = yield* post({ ...good, ...wrong })
        assert.strictEqual(response.status, 400)
        const body = (yield* response.json) as { readonly reason: { readonly _tag: string } }
        assert.strictEqual(body.reason._tag, tag)
      }
    }))
})
