import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Schema, Stream } from "effect"
import { readFileSync } from "node:fs"
import { inspect } from "node:util"
import * as MqttError from "../src/MqttError.ts"

const socketError = Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:1883"), { code: "ECONNREFUSED" })

// One of each, so that the table of categories and the round trip miss none.
const reasons: { readonly [Tag in MqttError.MqttErrorReason["_tag"]]: MqttError.MqttErrorReason } = {
  BadCredentials: new MqttError.BadCredentials({ reasonCode: 0x86 }),
  ClientIdentifierRejected: new MqttError.ClientIdentifierRejected({ clientId: "a" }),
  Closed: new MqttError.Closed(),
  ConnectionLost: new MqttError.ConnectionLost({ cause: socketError }),
  ConnectionRefused: new MqttError.ConnectionRefused({ server: "mqtt://a:1883", cause: socketError }),
  CredentialsFailed: new MqttError.CredentialsFailed({ detail: "the vault is sealed" }),
  Dropped: new MqttError.Dropped({ policy: "dropOldest" }),
  DuplicateForwarder: new MqttError.DuplicateForwarder({ forwarder: "f" }),
  DuplicateSession: new MqttError.DuplicateSession({ session: "s" }),
  Expired: new MqttError.Expired(),
  ForwarderFailed: new MqttError.ForwarderFailed({ forwarder: "f", detail: "it feeds itself" }),
  ForwarderNotFound: new MqttError.ForwarderNotFound({ forwarder: "f" }),
  Indeterminate: new MqttError.Indeterminate({ refusal: "QoS 2 is not supported: the server's maximum QoS is 1" }),
  InvalidFilter: new MqttError.InvalidFilter({ filter: "a#", offset: 1, detail: "not alone" }),
  InvalidOptions: new MqttError.InvalidOptions({ issues: [{ path: "name", message: "is empty" }] }),
  InvalidPayload: new MqttError.InvalidPayload({ detail: "not UTF-8" }),
  InvalidTopic: new MqttError.InvalidTopic({ topic: "a+", offset: 1, detail: "a wildcard" }),
  NotAuthorized: new MqttError.NotAuthorized({ reasonCode: 0x87 }),
  NotSupported: new MqttError.NotSupported({ feature: "retain", detail: "the server keeps no messages" }),
  PacketTooLarge: new MqttError.PacketTooLarge({ size: 2, maximum: 1 }),
  PoisonMessage: new MqttError.PoisonMessage({ connections: 5, last: "the server closed the connection" }),
  ProtocolViolation: new MqttError.ProtocolViolation({ reasonCode: 0x81, detail: "packet identifier 0" }),
  ProxyFailed: new MqttError.ProxyFailed({ proxy: "http://a:80", failure: "refused", httpStatus: 403 }),
  PublishRefused: new MqttError.PublishRefused({ reasonCode: 0x97, reasonString: "slow down" }),
  QueueFull: new MqttError.QueueFull({ messages: 10, bytes: 20 }),
  RequestFailed: new MqttError.RequestFailed({ status: "invalid", detail: "the payload does not fit the schema" }),
  ServerMoved: new MqttError.ServerMoved({ reasonCode: 0x9d, serverReference: "b:1883" }),
  SessionLost: new MqttError.SessionLost({}),
  SessionNotFound: new MqttError.SessionNotFound({ session: "s" }),
  SessionTakenOver: new MqttError.SessionTakenOver({ clientId: "a" }),
  StorageFailed: new MqttError.StorageFailed({ cause: new Error("disk full") }),
  SubscriptionConflict: new MqttError.SubscriptionConflict({ filter: "a", detail: "no local differs" }),
  SubscriptionRefused: new MqttError.SubscriptionRefused({ filter: "a", reasonCode: 0x87 }),
  Timeout: new MqttError.Timeout({ operation: "publish", millis: 30_000 }),
  TlsFailure: new MqttError.TlsFailure({ code: "CERT_HAS_EXPIRED", cause: new Error("certificate has expired") }),
  Unexpected: new MqttError.Unexpected({ detail: "a defect" }),
  UnsubscribeRefused: new MqttError.UnsubscribeRefused({ filter: "a", reasonCode: 0x80 }),
  UnsupportedVersion: new MqttError.UnsupportedVersion({ protocolVersion: 5 })
}

const queueFull = new MqttError.MqttError({ reason: new MqttError.QueueFull({ messages: 10, bytes: 20 }) })

describe("MqttError", () => {
  describe("documentation", () => {
    const page = readFileSync(new URL("../../../docs/guides/errors.md", import.meta.url), "utf8")
    const anchors = Array.from(page.matchAll(/^### (\w+)$/gm), ([, heading]) => heading!.toLowerCase())

    it.each(Object.values(reasons))("leads to the entry of $_tag", (reason) => {
      const [address, anchor] = new MqttError.MqttError({ reason }).documentation.split("#")
      assert.strictEqual(address, "https://github.com/effect-mqttx/effect-mqttx/blob/main/docs/guides/errors.md")
      assert.include(anchors, anchor)
    })

    it("is part of neither the message nor the JSON form", () => {
      assert.notInclude(`${queueFull.message}${JSON.stringify(queueFull)}`, "github.com")
    })
  })

  describe("handling", () => {
    it.effect("catches one reason and narrows it", () =>
      Effect.gen(function*() {
        const handled: Effect.Effect<number, MqttError.MqttError> = Effect.fail(queueFull).pipe(
          Effect.catchReason("MqttError", "QueueFull", (reason) => Effect.succeed(reason.messages + reason.bytes))
        )
        assert.strictEqual(yield* handled, 30)
      }))

    it.effect("leaves other reasons alone", () =>
      Effect.gen(function*() {
        const error = yield* Effect.fail(queueFull).pipe(
          Effect.catchReason("MqttError", "Dropped", (reason) => Effect.succeed(reason.policy)),
          Effect.flip
        )
        assert.strictEqual(error, queueFull)
      }))

    it.effect("catches several reasons", () =>
      Effect.gen(function*() {
        const handle = (effect: Effect.Effect<string, MqttError.MqttError>) =>
          effect.pipe(Effect.catchReasons("MqttError", {
            QueueFull: (reason) => Effect.succeed(`full ${reason.messages}`),
            Timeout: (reason) => Effect.succeed(`slow ${reason.operation}`)
          }))
        const slow = new MqttError.MqttError({ reason: new MqttError.Timeout({ operation: "publish", millis: 1 }) })
        assert.strictEqual(yield* handle(Effect.fail(queueFull)), "full 10")
        assert.strictEqual(yield* handle(Effect.fail(slow)), "slow publish")
      }))

    it.effect("catches a reason of a stream", () =>
      Effect.gen(function*() {
        const values = yield* Stream.fail(queueFull).pipe(
          Stream.catchReason("MqttError", "QueueFull", (reason) => Stream.succeed(reason.bytes)),
          Stream.runCollect
        )
        assert.deepEqual(values, [20])
      }))

    it.effect("is caught by its tag, and yields in a generator", () =>
      Effect.gen(function*() {
        const error = yield* Effect.gen(function*() {
          return yield* MqttError.MqttError.make({ reason: new MqttError.Closed() })
        }).pipe(Effect.catchTag("MqttError", (error) => Effect.succeed(error)))
        assert.strictEqual(error.reason._tag, "Closed")
      }))
  })

  describe("guard", () => {
    it("distinguishes its own errors from others", () => {
      assert.isTrue(MqttError.isMqttError(queueFull))
      assert.isFalse(MqttError.isMqttError(queueFull.reason))
      assert.isFalse(MqttError.isMqttError(new Error("MqttError")))
      assert.isFalse(MqttError.isMqttError(undefined))
    })
  })

  describe("round trip", () => {
    const codec = Schema.toCodecJson(MqttError.MqttError)

    it.effect.each(Object.values(reasons))(
      "gives an instance of $_tag back from JSON",
      (reason) =>
        Effect.gen(function*() {
          const error = new MqttError.MqttError({
            reason,
            session: "plant",
            method: "publish",
            topic: "a/b",
            context: { attempt: 3, tags: ["x", null] }
          })
          const json = JSON.stringify(yield* Schema.encodeEffect(codec)(error))
          const decoded = yield* Schema.decodeUnknownEffect(codec)(JSON.parse(json))
          assert.instanceOf(decoded, MqttError.MqttError)
          assert.strictEqual(decoded.reason.constructor, reason.constructor)
          assert.strictEqual(decoded.message, error.message)
          assert.strictEqual(decoded.isRetryable, error.isRetryable)
          assert.strictEqual(decoded.severity, error.severity)
          assert.deepEqual(decoded.context, error.context)
        })
    )
  })

  describe("getters", () => {
    it("puts session, method and topic in front of the reason's message", () => {
      const reason = new MqttError.Closed()
      const messageOf = (fields: { session?: string; method?: string; topic?: string }) =>
        new MqttError.MqttError({ reason, ...fields }).message
      assert.strictEqual(messageOf({}), "the session is closed")
      assert.strictEqual(messageOf({ session: "plant" }), "plant: the session is closed")
      assert.strictEqual(messageOf({ method: "publish", topic: "a/b" }), "publish a/b: the session is closed")
      assert.strictEqual(
        messageOf({ session: "plant", method: "publish", topic: "a/b" }),
        "plant.publish a/b: the session is closed"
      )
    })

    it("forwards the cause of the reason", () => {
      const error = new MqttError.MqttError({ reason: new MqttError.ConnectionLost({ cause: socketError }) })
      assert.strictEqual(error.cause, socketError)
      assert.isUndefined(queueFull.cause)
      assert.include(Cause.pretty(Cause.fail(error)), "ECONNREFUSED")
      assert.include(inspect(error), "ECONNREFUSED")
    })

    it.each(
      [
        ["BadCredentials", "authentication", "critical", false],
        ["ClientIdentifierRejected", "authentication", "critical", false],
        ["Closed", "connection", "info", false],
        ["ConnectionLost", "connection", "warning", true],
        ["ConnectionRefused", "connection", "warning", true],
        ["Dropped", "publish", "warning", true],
        ["DuplicateForwarder", "forwarder", "error", false],
        ["DuplicateSession", "configuration", "error", false],
        ["Expired", "publish", "warning", false],
        ["ForwarderFailed", "forwarder", "error", false],
        ["ForwarderNotFound", "forwarder", "error", false],
        ["InvalidFilter", "subscription", "error", false],
        ["InvalidOptions", "configuration", "critical", false],
        ["InvalidPayload", "publish", "error", false],
        ["InvalidTopic", "publish", "error", false],
        ["NotAuthorized", "authentication", "critical", false],
        ["NotSupported", "configuration", "error", false],
        ["PacketTooLarge", "publish", "error", false],
        ["ProtocolViolation", "connection", "error", true],
        ["ProxyFailed", "connection", "critical", false],
        ["PublishRefused", "publish", "warning", true],
        ["QueueFull", "publish", "warning", true],
        ["RequestFailed", "publish", "error", false],
        ["ServerMoved", "connection", "critical", false],
        ["SessionLost", "connection", "warning", true],
        ["SessionNotFound", "configuration", "error", false],
        ["SessionTakenOver", "connection", "critical", false],
        ["StorageFailed", "storage", "critical", true],
        ["SubscriptionConflict", "subscription", "error", false],
        ["SubscriptionRefused", "subscription", "error", false],
        ["Timeout", "connection", "warning", true],
        ["TlsFailure", "connection", "critical", false],
        ["Unexpected", "internal", "critical", false],
        ["UnsubscribeRefused", "subscription", "warning", true],
        ["UnsupportedVersion", "connection", "critical", false]
      ] as const
    )("says of %s: %s, %s, retryable %s", (tag, category, severity, isRetryable) => {
      const error = new MqttError.MqttError({ reason: reasons[tag] })
      assert.deepEqual([error.category, error.severity, error.isRetryable], [category, severity, isRetryable])
    })

    it("takes the permanence of a refusal from its code", () => {
      const refusedBy = (reasonCode: number) => new MqttError.ConnectionRefused({ reasonCode }).isRetryable
      assert.isTrue(refusedBy(0x89))
      assert.isTrue(refusedBy(3))
      assert.isFalse(refusedBy(0x95))
      assert.isFalse(new MqttError.ConnectionRefused({ code: "EACCES" }).isRetryable)
      assert.isFalse(new MqttError.ConnectionRefused({ httpStatus: 404 }).isRetryable)
      assert.isTrue(new MqttError.ConnectionRefused({ httpStatus: 503 }).isRetryable)
      assert.isFalse(new MqttError.PublishRefused({ reasonCode: 0x87 }).isRetryable)
      assert.isTrue(new MqttError.ServerMoved({ reasonCode: 0x9c }).isRetryable)
    })

    it("says what is temporary", () => {
      const isTemporary = (tag: keyof typeof reasons) => new MqttError.MqttError({ reason: reasons[tag] }).isTemporary
      assert.isTrue(isTemporary("ConnectionLost"))
      assert.isTrue(isTemporary("QueueFull"))
      assert.isFalse(isTemporary("Dropped"))
      assert.isFalse(isTemporary("BadCredentials"))
    })

    it("says what is a timeout, the network's and the server's included", () => {
      const isTimeout = (reason: MqttError.MqttErrorReason) => new MqttError.MqttError({ reason }).isTimeout
      assert.isTrue(isTimeout(reasons.Timeout))
      assert.isTrue(isTimeout(new MqttError.ConnectionRefused({ code: "ETIMEDOUT" })))
      assert.isTrue(isTimeout(new MqttError.ConnectionLost({ reasonCode: 0x8d })))
      assert.isTrue(isTimeout(new MqttError.TlsFailure({ code: "ERR_TLS_HANDSHAKE_TIMEOUT" })))
      assert.isFalse(isTimeout(reasons.ConnectionLost))
      assert.isFalse(isTimeout(reasons.QueueFull))
    })

    it("shortens a very long topic in its message", () => {
      const reason = new MqttError.InvalidTopic({ topic: "x".repeat(65_536), offset: 65_535, detail: "too long" })
      assert.isBelow(reason.message.length, 250)
    })
  })

  describe("copies", () => {
    it("adds session, method, topic and context without changing the original", () => {
      const copy = queueFull.withSession("plant").withMethod("publish").withTopic("a").withContext({ n: 1 })
      assert.deepEqual([copy.session, copy.method, copy.topic, copy.context], ["plant", "publish", "a", { n: 1 }])
      assert.isUndefined(queueFull.session)
      assert.strictEqual(copy.reason, queueFull.reason)
    })

    it("merges context and keeps the stack of the failure", () => {
      const error = queueFull.withContext({ a: 1, b: 1 })
      assert.deepEqual(error.withContext({ b: 2 }).context, { a: 1, b: 2 })
      assert.strictEqual(error.withSession("plant").stack, error.stack)
    })
  })
})
