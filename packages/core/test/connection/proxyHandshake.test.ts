import { assert, describe, it } from "@effect/vitest"
import { Redacted, Result } from "effect"
import { httpConnect, maximumHeader } from "../../src/internal/node/httpConnect.ts"
import { bypasses, chooseProxy } from "../../src/internal/node/proxyChoice.ts"
import type { Outcome, ProxyHandshake } from "../../src/internal/node/proxyHandshake.ts"
import { ipv6Bytes, socks5 } from "../../src/internal/node/socks5.ts"
import { credentialsFault, formatProxy, parseNoProxy, parseProxy } from "../../src/internal/proxyUrl.ts"
import * as ServerAddress from "../../src/ServerAddress.ts"
import { Random } from "../codec/support.ts"

const target = { host: "broker.example", port: 8883 }
const credentials = { username: "me", password: Redacted.make("pass: ü") }

/** What a handshake says to bytes that come in these pieces, up to its outcome, and the bytes after it. */
const lead = (handshake: ProxyHandshake, pieces: ReadonlyArray<Uint8Array>) => {
  const sent: Array<number> = []
  for (const [index, piece] of pieces.entries()) {
    const { outcome, send } = handshake.push(piece)
    if (send !== undefined) sent.push(...send)
    if (outcome === undefined) continue
    const rest = outcome._tag === "Open"
      ? Array.from(Buffer.concat([outcome.rest, ...pieces.slice(index + 1)]))
      : []
    return { sent, outcome: outcome._tag === "Open" ? { _tag: "Open" } : outcome, rest }
  }
  return { sent, outcome: undefined, rest: [] }
}

/** The same bytes in up to seven pieces, some of them empty. */
const cut = (random: Random, bytes: Uint8Array): ReadonlyArray<Uint8Array> => {
  const places = Array.from({ length: random.int(0, 6) }, () => random.int(0, bytes.length)).sort((a, b) => a - b)
  return [0, ...places].map((from, index) => bytes.subarray(from, places[index] ?? bytes.length))
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const bytes = (...values: ReadonlyArray<number>): Uint8Array => Uint8Array.from(values)

const http = () => httpConnect(target, credentials)
const socks = () => socks5(target, credentials)
const methodAndLogin = [5, 2, 1, 0] as const

const opened = { _tag: "Open" } as const

const conversations: ReadonlyArray<
  readonly [string, () => ProxyHandshake, Uint8Array, Partial<Outcome> | undefined, rest: ReadonlyArray<number>]
> = [
  ["HTTP 200", http, text("HTTP/1.1 200 OK\r\nVia: a\r\n\r\nXY"), opened, [88, 89]],
  ["HTTP 200 with bare line feeds", http, text("HTTP/1.0 200\n\nXY"), opened, [88, 89]],
  ["HTTP 204 after an interim answer", http, text("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 x\r\n\r\n"), opened, []],
  ["HTTP 503", http, text("HTTP/1.1 503 Busy\r\n\r\n"), { _tag: "Failed", failure: "refused", httpStatus: 503 }, []],
  ["HTTP 302", http, text("HTTP/1.1 302 Found\r\nLocation: x\r\n\r\n"), { failure: "refused", httpStatus: 302 }, []],
  ["HTTP 407", http, text("HTTP/1.1 407 x\r\nProxy-Authenticate: Basic\r\n\r\n"), { failure: "authentication" }, []],
  ["HTTP 101", http, text("HTTP/1.1 101 x\r\n\r\n"), { failure: "refused", httpStatus: 101 }, []],
  ["HTTP that is none", http, text("HTTP/2 200\r\n\r\n"), { failure: "protocol" }, []],
  ["HTTP with a status that is none", http, text("HTTP/1.1 20 OK\r\n\r\n"), { failure: "protocol" }, []],
  ["SSH", http, text("SSH-2.0-x"), { failure: "protocol" }, []],
  ["an incomplete HTTP answer", http, text("HTTP/1.1 200 OK\r\nVia"), undefined, []],
  ["SOCKS, an IPv4 address", socks, bytes(...methodAndLogin, 5, 0, 0, 1, 1, 2, 3, 4, 0, 80, 9, 9), opened, [9, 9]],
  ["SOCKS, a name", socks, bytes(...methodAndLogin, 5, 0, 0, 3, 2, 97, 98, 0, 80, 7), opened, [7]],
  ["SOCKS, an empty name", socks, bytes(...methodAndLogin, 5, 0, 0, 3, 0, 0, 80), opened, []],
  ["SOCKS, an IPv6 address", socks, bytes(5, 0, 5, 0, 0, 4, ...Array<number>(18).fill(1), 7), opened, [7]],
  ["SOCKS, refused", socks, bytes(...methodAndLogin, 5, 5), { failure: "refused", reply: "connectionRefused" }, []],
  ["SOCKS, no method", socks, bytes(5, 0xff), { failure: "authentication" }, []],
  ["SOCKS, a method of its own", socks, bytes(5, 1), { failure: "protocol" }, []],
  ["SOCKS, a wrong login", socks, bytes(5, 2, 1, 1), { failure: "authentication" }, []],
  ["SOCKS, no such address", socks, bytes(5, 0, 5, 0, 0, 2), { failure: "protocol" }, []],
  ["SOCKS 4", socks, bytes(0, 90), { failure: "protocol" }, []],
  ["SOCKS that goes wrong later", socks, bytes(5, 0, 4), { failure: "protocol" }, []],
  ["an incomplete SOCKS answer", socks, bytes(...methodAndLogin, 5, 0, 0, 1, 1, 2), undefined, []]
]

describe("a handshake with a proxy", () => {
  it.each(conversations)("%s: in any chunks the same", (_, make, answer, expected, rest) => {
    const whole = lead(make(), [answer])
    assert.strictEqual(whole.outcome === undefined, expected === undefined)
    if (expected !== undefined) assert.deepInclude(whole.outcome, expected)
    assert.deepStrictEqual(whole.rest, rest)
    assert.deepStrictEqual(lead(make(), Array.from(answer, (byte) => bytes(byte))), whole)
    const random = new Random(1)
    for (let n = 0; n < 200; n++) assert.deepStrictEqual(lead(make(), cut(random, answer)), whole)
  })

  it("takes any bytes without an exception, in bounded memory", () => {
    const random = new Random(2)
    for (let n = 0; n < 2000; n++) {
      const all = Array.from(
        { length: random.int(0, 10) },
        () => Uint8Array.from({ length: random.int(0, 40) }, () => random.int(0, 255))
      )
      for (const make of [http, socks]) {
        for (const begin of ["", "HTTP/1.1 "]) lead(make(), [text(begin), ...all])
      }
    }
    const endless = http()
    let fed = 0
    let outcome: Outcome | undefined
    while (outcome === undefined) {
      outcome = endless.push(text(fed === 0 ? "HTTP/1.1 200 OK\r\n" : `X: ${"a".repeat(1000)}\r\n`)).outcome
      fed++
      assert.isBelow(fed, 20)
    }
    assert.deepInclude(outcome, { failure: "protocol" })
    const long = `HTTP/1.1 200 OK\r\nX: ${"a".repeat(maximumHeader)}\r\n\r\n`
    assert.deepInclude(lead(http(), [text(long)]).outcome, { failure: "protocol" })
  })

  it("sends credentials in the bytes of RFC 9110 and RFC 7617", () => {
    const say = (...parameters: Parameters<typeof httpConnect>): string =>
      new TextDecoder().decode(httpConnect(...parameters).hello)
    assert.strictEqual(
      say(target, credentials),
      "CONNECT broker.example:8883 HTTP/1.1\r\nHost: broker.example:8883\r\n" +
        `Proxy-Authorization: Basic ${Buffer.from("me:pass: ü").toString("base64")}\r\n\r\n`
    )
    assert.strictEqual(say({ host: "::1", port: 1 }, undefined), "CONNECT [::1]:1 HTTP/1.1\r\nHost: [::1]:1\r\n\r\n")
  })

  it("sends its request in the bytes of RFC 1928 and RFC 1929", () => {
    assert.deepStrictEqual(Array.from(socks5(target, undefined).hello), [5, 1, 0])
    assert.deepStrictEqual(Array.from(socks().hello), [5, 2, 0, 2])
    const login = [...text("pass: ü")]
    assert.deepStrictEqual(lead(socks(), [bytes(...methodAndLogin)]).sent, [
      ...[1, 2, 109, 101, login.length, ...login],
      ...[5, 1, 0, 3, 14, ...text("broker.example"), 0x22, 0xb3]
    ])
    const addressed = (host: string) => lead(socks5({ host, port: 258 }, undefined), [bytes(5, 0)]).sent
    assert.deepStrictEqual(addressed("10.0.0.255"), [5, 1, 0, 1, 10, 0, 0, 255, 1, 2])
    assert.deepStrictEqual(addressed("::1"), [5, 1, 0, 4, ...Array<number>(15).fill(0), 1, 1, 2])
  })

  it("writes an IPv6 address in 16 bytes, whatever its form", () => {
    const url = (text: string): string => new URL(`http://[${text}]`).hostname
    const random = new Random(3)
    for (let n = 0; n < 500; n++) {
      const words = Array.from({ length: 8 }, () => random.chance(0.4) ? "0" : random.int(0, 0xffff).toString(16))
      // Its shortest form, as the platform writes it.
      for (const address of [words.join(":"), url(words.join(":")).slice(1, -1)]) {
        const hex = Array.from(ipv6Bytes(address), (byte) => byte.toString(16).padStart(2, "0")).join("")
        assert.strictEqual(url(hex.match(/.{4}/g)!.join(":")), url(address))
      }
    }
    assert.deepStrictEqual(ipv6Bytes("::ffff:1.2.3.4").slice(10), [255, 255, 1, 2, 3, 4])
    assert.deepStrictEqual(ipv6Bytes("fe80::1%eth0"), [0xfe, 0x80, ...Array<number>(13).fill(0), 1])
  })
})

describe("the URL of a proxy", () => {
  const read = (input: string) => {
    const address = parseProxy(input)
    return typeof address === "string" ? address : formatProxy(address)
  }

  it.each([
    ["http://proxy", "http://proxy:80"],
    ["proxy:3128", "http://proxy:3128"],
    ["proxy", "http://proxy:80"],
    ["HTTPS://me:secret@proxy/", "https://proxy:443"],
    ["socks5://[::1]", "socks5://[::1]:1080"],
    ["socks5h://me:secret@proxy:9050", "socks5h://proxy:9050"]
  ])("%s is %s", (input, expected) => {
    assert.strictEqual(read(input), expected)
  })

  it.each([
    "socks4://secret:secret@proxy",
    "ftp://secret@proxy",
    "http://",
    "http://secret@:80",
    "http://proxy/secret",
    "http://proxy?secret",
    "http://proxy#secret",
    "http://proxy:0",
    "http://proxy:70000",
    "http://sec%ret@proxy",
    "http://se cret"
  ])("%s is none, and is not repeated", (input) => {
    const issue = parseProxy(input)
    assert.isString(issue)
    assert.notInclude(issue as string, "secret")
  })

  it("has credentials that the protocol can carry", () => {
    const fault = (url: string) => credentialsFault(parseProxy(url) as Exclude<ReturnType<typeof parseProxy>, string>)
    assert.isUndefined(fault("http://proxy"))
    assert.isUndefined(fault("http://me@proxy"))
    assert.isUndefined(fault("socks5h://me:you@proxy"))
    assert.isString(fault("http://a%3Ab:c@proxy"))
    assert.isString(fault("http://a:b%0D%0Ac@proxy"))
    assert.isString(fault("http://:secret@proxy"))
    assert.isString(fault("socks5h://me@proxy"))
    assert.isString(fault(`socks5h://${"a".repeat(256)}:b@proxy`))
  })
})

describe("NO_PROXY", () => {
  it.each([
    ["*", "any.example", 1, true],
    ["example.com", "example.com", 1, true],
    ["example.com", "A.Example.COM.", 1, true],
    ["example.com", "notexample.com", 1, false],
    [".example.com", "a.example.com", 1, true],
    ["*.example.com", "a.b.example.com", 1, true],
    ["b.example.com", "example.com", 1, false],
    ["example.com:8883", "a.example.com", 8883, true],
    ["example.com:8883", "a.example.com", 1883, false],
    ["10.1.2.3", "10.1.2.3", 1, true],
    ["10.1.2.3:1883", "10.1.2.3", 1, false],
    ["10.0.0.0/8", "10.255.0.1", 1, true],
    ["10.0.0.0/8", "11.0.0.1", 1, false],
    ["10.0.0.0/8", "10.example", 1, false],
    ["2.3.4", "1.2.3.4", 1, false],
    ["::1", "0:0::1", 1, true],
    ["[::1]", "::1", 1, true],
    ["[::1]:8883", "::1", 1, false],
    ["fd00::/8", "fd12::1", 1, true],
    ["fd00::/8", "fe12::1", 1, false],
    ["fd00::/8", "10.0.0.1", 1, false]
  ])("%s for %s:%d: %s", (rule, host, port, expected) => {
    assert.strictEqual(bypasses([parseNoProxy(rule)!], { host, port }), expected)
  })

  it.each(["", "a b", "10.0.0.0/33", "fd00::/129", "a/8", "http://a", "a:b", "me@a"])("%j is no rule", (rule) => {
    assert.isUndefined(parseNoProxy(rule))
  })

  it("takes any text without an exception", () => {
    const random = new Random(4)
    const alphabet = "a1.:/*[]@%# \u0000\ud800f"
    for (let n = 0; n < 5000; n++) {
      const rule = Array.from({ length: random.int(0, 12) }, () => alphabet[random.int(0, alphabet.length - 1)]).join(
        ""
      )
      const parsed = parseNoProxy(rule)
      if (parsed !== undefined) bypasses([parsed], { host: "a.1", port: 1 })
      parseProxy(rule)
    }
  })
})

describe("the environment", () => {
  const choose = (server: string, variables: Readonly<Record<string, string>>, noProxy: ReadonlyArray<string> = []) => {
    const address = Result.getOrThrow(ServerAddress.parse(server))
    const proxy = chooseProxy({ environment: true, noProxy }, address, variables)
    return proxy === undefined ? undefined : "_tag" in proxy ? proxy._tag : formatProxy(proxy)
  }

  it.each([
    ["mqtts://a", { HTTPS_PROXY: "b", HTTP_PROXY: "c", ALL_PROXY: "d" }, "http://b:80"],
    ["wss://a", { HTTPS_PROXY: "b", https_proxy: "c" }, "http://c:80"],
    ["mqtt://a", { HTTPS_PROXY: "b", HTTP_PROXY: "c", ALL_PROXY: "d" }, "http://c:80"],
    ["ws://a", { HTTPS_PROXY: "b", ALL_PROXY: "socks5h://d" }, "socks5h://d:1080"],
    ["mqtts://a", { HTTP_PROXY: "c" }, undefined],
    ["mqtt://a", { HTTP_PROXY: "c", REQUEST_METHOD: "GET" }, undefined],
    ["mqtt://a", { http_proxy: "c", REQUEST_METHOD: "GET" }, "http://c:80"],
    ["mqtts://a", { HTTPS_PROXY: " ", ALL_PROXY: "d" }, "http://d:80"],
    ["mqtts://a.b", { ALL_PROXY: "d", NO_PROXY: "x, b y" }, undefined],
    ["mqtts://a.b", { ALL_PROXY: "d", NO_PROXY: "a.b", no_proxy: "x" }, "http://d:80"],
    ["mqtts://a", { ALL_PROXY: "ftp://d" }, "InvalidOptions"]
  ])("%s with %j: %s", (server, variables, expected) => {
    assert.strictEqual(choose(server, variables), expected)
  })
})
