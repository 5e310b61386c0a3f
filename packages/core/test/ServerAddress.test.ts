import { assert, describe, it } from "@effect/vitest"
import { Redacted, Result, Schema } from "effect"
import { inspect } from "node:util"
import * as ServerAddress from "../src/ServerAddress.ts"

const parse = (input: string, options?: ServerAddress.ParseOptions) =>
  Result.getOrThrow(ServerAddress.parse(input, options))

const refusal = (input: string, options?: ServerAddress.ParseOptions): string => {
  const result = ServerAddress.parse(input, options)
  assert.isTrue(Result.isFailure(result), `${input} was accepted`)
  return Result.isFailure(result) ? result.failure.issues.map((issue) => issue.message).join() : ""
}

const short = ({ protocol, host, port, path }: ServerAddress.ServerAddress) => [protocol, host, port, path]

describe("ServerAddress", () => {
  it.each([
    ["localhost", ["tcp", "localhost", 1883, ""]],
    ["localhost:1884", ["tcp", "localhost", 1884, ""]],
    ["mqtt://broker.example.com", ["tcp", "broker.example.com", 1883, ""]],
    ["tcp://10.0.0.1:1", ["tcp", "10.0.0.1", 1, ""]],
    ["mqtt://host/", ["tcp", "host", 1883, ""]],
    ["mqtts://host", ["tls", "host", 8883, ""]],
    ["ssl://host", ["tls", "host", 8883, ""]],
    ["tls://host:65535", ["tls", "host", 65535, ""]],
    ["tcps://host", ["tls", "host", 8883, ""]],
    ["mqtt+ssl://host", ["tls", "host", 8883, ""]],
    ["MQTTS://Host", ["tls", "Host", 8883, ""]],
    ["ws://host", ["ws", "host", 80, "/"]],
    ["ws://host:9001/mqtt", ["ws", "host", 9001, "/mqtt"]],
    ["wss://host/a/b?token=x", ["wss", "host", 443, "/a/b"]],
    ["wss://host?token=x", ["wss", "host", 443, "/"]],
    ["mqtt://[::1]:1884", ["tcp", "::1", 1884, ""]],
    ["mqtt://[fe80::1%eth0]", ["tcp", "fe80::1%eth0", 1883, ""]],
    ["::1", ["tcp", "::1", 1883, ""]],
    ["[::1]:1884", ["tcp", "::1", 1884, ""]],
    ["mqtt+unix:///run/mosquitto.sock", ["unix", "", 0, "/run/mosquitto.sock"]],
    ["unix:///run/a%20b%3F.sock", ["unix", "", 0, "/run/a b?.sock"]],
    ["mqtt://my_broker-1", ["tcp", "my_broker-1", 1883, ""]]
  ])("reads %s", (input, expected) => {
    assert.deepEqual(short(parse(input)), expected)
  })

  it.each([
    ["", "empty"],
    ["http://host", "unknown protocol http://"],
    ["mqtt://", "no host"],
    ["mqtt://:1883", "no host"],
    ["mqtt://host:0", "port"],
    ["mqtt://host:65536", "port"],
    ["mqtt://host:", "port"],
    ["mqtt://host:abc", "port"],
    ["mqtt://host:18 83", "white space"],
    ["mqtt://ho\nst", "control character"],
    ["mqtt://host/path", "path"],
    ["mqtt://host?x=1", "path or query"],
    ["ws://host/#a", "fragment"],
    ["mqtt://::1", "brackets"],
    ["mqtt://fe80::1:1883", "brackets"],
    ["mqtt://[::1", "IPv6"],
    ["mqtt://[localhost]", "IPv6"],
    ["mqtt://[::1]x", "port"],
    ["mqtt://a<b", "character"],
    ["mqtt+unix://run/x", "absolute path"],
    ["unix:///", "absolute path"],
    ["unix:///a%00b", "null character"],
    ["unix:///a?b", "without a query"],
    ["mqtt://user:%ZZ@host", "percent-encoded"]
  ])("refuses %j", (input, why) => {
    assert.include(refusal(input), why)
  })

  it("reads percent-encoded credentials and keeps the password out of every print", () => {
    const address = parse("mqtts://us%40er:p%3Aa%2Fss@host:1")
    assert.strictEqual(address.username, "us@er")
    assert.strictEqual(address.password && Redacted.value(address.password), "p:a/ss")
    assert.deepEqual(short(address), ["tls", "host", 1, ""])
    for (const print of [inspect(address), JSON.stringify(address), ServerAddress.format(address)]) {
      assert.notInclude(print, "a/ss")
    }
  })

  it.each(["wss://host/mqtt?token=secret", "wss://host?token=secret", "ws://me:secret@host:1/?a=1&token=secret"])(
    "keeps the query of %s, and gives it to the WebSocket only",
    (input) => {
      const address = parse(input)
      assert.include(address.query && Redacted.value(address.query), "token=secret")
      assert.include(ServerAddress.webSocketUrl(address), "token=secret")
      for (const print of [inspect(address), JSON.stringify(address), String(address), ServerAddress.format(address)]) {
        assert.notInclude(print, "secret")
      }
    }
  )

  it("refuses what no WebSocket can be opened with, and does not quote it", () => {
    // The constructors of WebSockets quote such an address in their errors.
    for (const input of ["ws://[fe80::1%eth0]/mqtt?token=secret", "wss://1.2.3.999/mqtt?token=secret"]) {
      const message = refusal(input)
      assert.include(message, "not a valid URL")
      assert.notInclude(message, "secret")
    }
  })

  it("takes a user name without a password", () => {
    const address = parse("mqtt://token@host")
    assert.strictEqual(address.username, "token")
    assert.isUndefined(address.password)
  })

  it.each(["mqtt://user:sec/ret@host", "mqtt://user:sec?ret@host", "mqtt://user:sec%ret@host", "x://u:secret@host"])(
    "does not quote a secret when it refuses %s",
    (input) => {
      const message = refusal(input)
      assert.notInclude(message, "sec")
      assert.notInclude(message, "ret@")
    }
  )

  it("means TLS by an address without a scheme when it has to be secure", () => {
    assert.deepEqual(short(parse("host", { secure: true })), ["tls", "host", 8883, ""])
    assert.deepEqual(short(parse("host:8884", { secure: true })), ["tls", "host", 8884, ""])
    assert.deepEqual(short(parse("wss://host", { secure: true })), ["wss", "host", 443, "/"])
  })

  it.each(["mqtt://host:8883", "tcp://host", "ws://host", "unix:///run/x"])(
    "refuses %s when it has to be secure",
    (input) => assert.include(refusal(input, { secure: true }), "does not encrypt")
  )

  it("prints an address with its port and without credentials and query", () => {
    assert.strictEqual(ServerAddress.format(parse("user:pw@host")), "mqtt://host:1883")
    assert.strictEqual(ServerAddress.format(parse("wss://host/mqtt?token=secret")), "wss://host:443/mqtt")
    assert.strictEqual(ServerAddress.format(parse("mqtts://[::1]")), "mqtts://[::1]:8883")
    assert.strictEqual(ServerAddress.format(parse("unix:///run/a%20b")), "mqtt+unix:///run/a%20b")
  })

  it("gives the URL of a WebSocket with its query and without credentials", () => {
    assert.strictEqual(
      ServerAddress.webSocketUrl(parse("wss://user:pw@host/mqtt?token=x")),
      "wss://host:443/mqtt?token=x"
    )
  })

  const parts = [
    Schema.Literals(["mqtt://", "mqtts://", "ws://", "wss://", "unix:///", ""]),
    Schema.Literals(["", "u@", "u:p@"]),
    Schema.Literals(["host", "10.0.0.1", "[::1]", "[fe80::1]", "a-b.c_d"]),
    Schema.Literals(["", ":1", ":1883", ":65535"]),
    Schema.Literals(["", "/", "/mqtt", "/a/b?c=d"])
  ]

  it.prop("reads back what it prints", parts, (texts) => {
    const result = ServerAddress.parse(texts.join(""))
    if (Result.isFailure(result)) {
      return true
    }
    const again = parse(ServerAddress.format(result.success))
    assert.deepEqual(short(again), short(result.success))
    return true
  })
})
