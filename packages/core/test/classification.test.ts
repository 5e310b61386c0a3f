import { assert, describe, it } from "@effect/vitest"
import * as Classification from "../src/internal/classification.ts"
import type { MqttErrorReason } from "../src/MqttError.ts"

const v4: Classification.Attempt = { protocolVersion: 4, clientId: "me" }
const v5: Classification.Attempt = { protocolVersion: 5, clientId: "me" }

const coded = (code: string) => Object.assign(new Error(`failed with ${code}`), { code })

const permanenceOf = (reason: MqttErrorReason): string => reason.isRetryable ? "transient" : "permanent"

describe("classification", () => {
  it.each(
    [
      [1, "UnsupportedVersion", "permanent"],
      [2, "ClientIdentifierRejected", "permanent"],
      [3, "ConnectionRefused", "transient"],
      [4, "BadCredentials", "permanent"],
      [5, "NotAuthorized", "permanent"],
      [6, "ConnectionRefused", "transient"]
    ] as const
  )("takes return code %i of a 3.1.1 CONNACK as %s, %s", (code, tag, permanence) => {
    const reason = Classification.fromConnack(code, v4)
    assert.deepEqual([reason._tag, permanenceOf(reason)], [tag, permanence])
  })

  it("reads a return code of 3.1.1 in answer to a CONNECT of MQTT 5, and a reason code of 5 in answer to one of 3.1.1", () => {
    const tags = [1, 2, 3, 4, 5].map((code) => Classification.fromConnack(code, v5)._tag)
    assert.deepEqual(tags, [
      "UnsupportedVersion",
      "ClientIdentifierRejected",
      "ConnectionRefused",
      "BadCredentials",
      "NotAuthorized"
    ])
    assert.strictEqual(Classification.fromConnack(0x84, v4)._tag, "UnsupportedVersion")
    assert.strictEqual(Classification.fromConnack(0x87, v4)._tag, "NotAuthorized")
    assert.strictEqual(Classification.fromViolation(0x84, "3.1.1", v5)._tag, "UnsupportedVersion")
    assert.strictEqual(Classification.fromViolation(0x82, "a", v5)._tag, "ProtocolViolation")
    assert.strictEqual(permanenceOf(Classification.fromSilentEnd(v5)), "transient")
  })

  it.each(
    [
      [0x80, "ConnectionRefused", "transient"],
      [0x81, "ConnectionRefused", "permanent"],
      [0x82, "ConnectionRefused", "permanent"],
      [0x83, "ConnectionRefused", "transient"],
      [0x84, "UnsupportedVersion", "permanent"],
      [0x85, "ClientIdentifierRejected", "permanent"],
      [0x86, "BadCredentials", "permanent"],
      [0x87, "NotAuthorized", "permanent"],
      [0x88, "ConnectionRefused", "transient"],
      [0x89, "ConnectionRefused", "transient"],
      [0x8a, "NotAuthorized", "permanent"],
      [0x8c, "BadCredentials", "permanent"],
      [0x90, "ConnectionRefused", "permanent"],
      [0x95, "ConnectionRefused", "permanent"],
      [0x97, "ConnectionRefused", "transient"],
      [0x99, "ConnectionRefused", "permanent"],
      [0x9a, "ConnectionRefused", "permanent"],
      [0x9b, "ConnectionRefused", "permanent"],
      [0x9c, "ServerMoved", "transient"],
      [0x9d, "ServerMoved", "permanent"],
      [0x9f, "ConnectionRefused", "transient"],
      [0xff, "ConnectionRefused", "transient"]
    ] as const
  )("takes reason code %i of an MQTT 5 CONNACK as %s, %s", (code, tag, permanence) => {
    const reason = Classification.fromConnack(code, v5)
    assert.deepEqual([reason._tag, permanenceOf(reason)], [tag, permanence])
  })

  it.each(
    [
      [0x00, "ConnectionLost", "transient"],
      [0x81, "ProtocolViolation", "transient"],
      [0x82, "ProtocolViolation", "transient"],
      [0x87, "NotAuthorized", "permanent"],
      [0x89, "ConnectionLost", "transient"],
      [0x8b, "ConnectionLost", "transient"],
      [0x8c, "BadCredentials", "permanent"],
      [0x8d, "ConnectionLost", "transient"],
      [0x8e, "SessionTakenOver", "permanent"],
      [0x93, "ConnectionLost", "transient"],
      [0x97, "ConnectionLost", "transient"],
      [0x98, "ConnectionLost", "transient"],
      [0x9c, "ServerMoved", "transient"],
      [0x9d, "ServerMoved", "permanent"],
      [0x9f, "ConnectionLost", "transient"],
      [0xa0, "ConnectionLost", "transient"]
    ] as const
  )("takes reason code %i of DISCONNECT as %s, %s", (code, tag, permanence) => {
    const reason = Classification.fromDisconnect(code, v5)
    assert.deepEqual([reason._tag, permanenceOf(reason)], [tag, permanence])
  })

  it("keeps what the server said", () => {
    const words = { reasonString: "go away", serverReference: "other:1883" }
    const moved = Classification.fromDisconnect(0x9d, v5, words)
    assert.isTrue(moved._tag === "ServerMoved" && moved.serverReference === "other:1883")
    assert.include(moved.message, "go away")
    assert.include(Classification.fromConnack(0x87, v5, words).message, "go away")
  })

  it.each(
    [
      ["CERT_HAS_EXPIRED", "TlsFailure", "permanent"],
      ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "TlsFailure", "permanent"],
      ["DEPTH_ZERO_SELF_SIGNED_CERT", "TlsFailure", "permanent"],
      ["SELF_SIGNED_CERT_IN_CHAIN", "TlsFailure", "permanent"],
      ["ERR_TLS_CERT_ALTNAME_INVALID", "TlsFailure", "permanent"],
      ["ERR_SSL_WRONG_VERSION_NUMBER", "TlsFailure", "permanent"],
      ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", "TlsFailure", "permanent"],
      ["ERR_OSSL_PEM_NO_START_LINE", "TlsFailure", "permanent"],
      ["EPROTO", "TlsFailure", "permanent"],
      ["ERR_TLS_HANDSHAKE_TIMEOUT", "TlsFailure", "transient"],
      ["ECONNREFUSED", "ConnectionRefused", "transient"],
      ["ECONNRESET", "ConnectionRefused", "transient"],
      ["ENOTFOUND", "ConnectionRefused", "transient"],
      ["EAI_AGAIN", "ConnectionRefused", "transient"],
      ["ETIMEDOUT", "ConnectionRefused", "transient"],
      ["EHOSTUNREACH", "ConnectionRefused", "transient"],
      ["ENETUNREACH", "ConnectionRefused", "transient"],
      ["ENOENT", "ConnectionRefused", "transient"],
      ["EACCES", "ConnectionRefused", "permanent"],
      ["ESOMETHINGNEW", "ConnectionRefused", "transient"]
    ] as const
  )("takes %s while connecting as %s, %s", (code, tag, permanence) => {
    const cause = coded(code)
    const reason = Classification.fromNetworkError(cause, "connect", "mqtts://host:8883")
    assert.deepEqual([reason._tag, permanenceOf(reason)], [tag, permanence])
    assert.isTrue("cause" in reason && reason.cause === cause)
    assert.include(reason.message, "mqtts://host:8883")
  })

  it.each(
    [
      ["ECONNRESET", "ConnectionLost", "transient"],
      ["EPIPE", "ConnectionLost", "transient"],
      ["EACCES", "ConnectionLost", "transient"],
      ["ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "ConnectionLost", "transient"],
      ["ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", "TlsFailure", "permanent"],
      ["ERR_TLS_CLIENT_CERTIFICATE_REFUSED", "TlsFailure", "permanent"]
    ] as const
  )("takes %s on an open connection as %s, %s", (code, tag, permanence) => {
    const reason = Classification.fromNetworkError(coded(code), "connected")
    assert.deepEqual([reason._tag, permanenceOf(reason)], [tag, permanence])
  })

  it("finds the code of a host with several addresses and of a wrapped error", () => {
    const several = new AggregateError([coded("ECONNREFUSED"), coded("ENETUNREACH")])
    const wrapped = new Error("upgrade failed", { cause: coded("CERT_HAS_EXPIRED") })
    const refused = Classification.fromNetworkError(several, "connect")
    assert.isTrue(refused._tag === "ConnectionRefused" && refused.code === "ECONNREFUSED")
    assert.strictEqual(Classification.fromNetworkError(wrapped, "connect")._tag, "TlsFailure")
  })

  it("takes an error without a code, and a circular one, as transient", () => {
    const circular: Error = new Error("round and round")
    circular.cause = circular
    for (const cause of [undefined, "text", new Error(""), circular]) {
      assert.strictEqual(permanenceOf(Classification.fromNetworkError(cause, "connect")), "transient")
      assert.strictEqual(Classification.fromNetworkError(cause, "connected")._tag, "ConnectionLost")
    }
  })

  it.each(
    [
      [301, "ConnectionRefused", "permanent"],
      [400, "ConnectionRefused", "permanent"],
      [401, "BadCredentials", "permanent"],
      [403, "NotAuthorized", "permanent"],
      [404, "ConnectionRefused", "permanent"],
      [408, "ConnectionRefused", "transient"],
      [429, "ConnectionRefused", "transient"],
      [500, "ConnectionRefused", "transient"],
      [503, "ConnectionRefused", "transient"]
    ] as const
  )("takes HTTP status %i of a WebSocket upgrade as %s, %s", (status, tag, permanence) => {
    const reason = Classification.fromHttpStatus(status, "wss://host:443/")
    assert.deepEqual([reason._tag, permanenceOf(reason)], [tag, permanence])
  })
})
