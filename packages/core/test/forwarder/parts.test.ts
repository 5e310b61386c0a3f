import * as SessionOptions from "@effect-mqttx/core/SessionOptions"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Result } from "effect"
import { digest } from "../../src/internal/digest.ts"
import { BrokerMarks, isSameBroker } from "../../src/internal/forwarder/brokers.ts"
import { Rate } from "../../src/internal/forwarder/counters.ts"
import { hasBroker, Hop, noRoute, routeIssue, routeOf } from "../../src/internal/forwarder/route.ts"
import { Recent } from "../../src/internal/forwarder/selection.ts"
import { TokenBucket } from "../../src/internal/forwarder/tokenBucket.ts"
import { OriginLedger } from "../../src/internal/session/originLedger.ts"

describe("token bucket", () => {
  it("gives the burst at once, and then as many tokens as time has passed", () => {
    const bucket = new TokenBucket({ messages: 10, per: Duration.seconds(1), burst: 3 }, 0)
    const taken = (now: number): number => {
      let count = 0
      while (bucket.take(now)) count++
      return count
    }
    assert.strictEqual(taken(0), 3)
    assert.strictEqual(bucket.wait, 100)
    assert.strictEqual(taken(99), 0)
    assert.strictEqual(taken(100), 1)
    assert.strictEqual(taken(10_000), 3)
    // A clock that is set back gives nothing, and takes nothing away.
    assert.strictEqual(taken(5000), 0)
    assert.strictEqual(taken(5100), 1)
  })

  it("a caller that waits as long as it says gets the whole rate", () => {
    for (const messages of [0.5, 3, 7, 30, 999]) {
      const burst = Math.max(2, messages / 10)
      const bucket = new TokenBucket({ messages, per: Duration.seconds(1), burst }, 0)
      let now = 0
      let count = 0
      while (now < 60_000) {
        if (bucket.take(now)) count++
        else now += bucket.wait
      }
      assert.isAtMost(Math.abs(count - messages * 60 - burst), 2, `${messages} a second`)
    }
  })
})

describe("rates", () => {
  it("are over the whole seconds that have passed, ten at most", () => {
    const receivedRate = new Rate()
    for (let at = 0; at < 20_000; at += 100) receivedRate.add(at)
    assert.strictEqual(receivedRate.at(20_000), 10)
    assert.strictEqual(receivedRate.at(25_500), 5)
    assert.strictEqual(receivedRate.at(60_000), 0)
  })

  it("are right from the first second on", () => {
    const receivedRate = new Rate()
    for (let i = 0; i < 6; i++) receivedRate.add(100)
    assert.strictEqual(receivedRate.at(900), 6)
    assert.strictEqual(receivedRate.at(2100), 3)
  })
})

describe("the route of a message", () => {
  const passed = (forwarders: string, brokers = "") => ({ forwarders, brokers })

  it("is read from the properties, the first of each name", () => {
    assert.deepStrictEqual(
      routeOf([["a", "1"], ["mqttx-forwarders", "x,y"], ["mqttx-brokers", "a,b"], ["mqttx-forwarders", "z"]]),
      passed("x,y", "a,b")
    )
    assert.deepStrictEqual(routeOf([["mqttx-forwarders", "x"]]), passed("x"))
    assert.strictEqual(routeOf(undefined), noRoute)
    assert.strictEqual(routeOf([["a", "1"]]), noRoute)
  })

  it("grows with each forwarder by its name and its brokers, each once", () => {
    const hop = new Hop("y", ["b", "b2"], ["c"])
    assert.deepStrictEqual(hop.after(noRoute), passed("y", "b,b2,c"))
    assert.deepStrictEqual(hop.after(passed("x", "a,b")), passed("x,y", "a,b,b2,c"))
    // A forwarder of an earlier version hasBroker itself alone.
    assert.deepStrictEqual(hop.after(passed("x")), passed("x,y", "b,b2,c"))
  })

  it("ends at a forwarder that it has passed, or at the bound", () => {
    assert.isUndefined(routeIssue(noRoute, "x", 8))
    assert.isUndefined(routeIssue(passed("xy,yx"), "x", 8))
    assert.strictEqual(routeIssue(passed("y,x"), "x", 8), "looped")
    assert.strictEqual(routeIssue(passed("a,b"), "x", 2), "tooManyHops")
    assert.strictEqual(routeIssue(passed("a".repeat(60_000)), "x", 8), "tooManyHops")
    assert.strictEqual(routeIssue(passed("a", "b".repeat(60_000)), "x", 8), "tooManyHops")
  })

  it("names brokers in full", () => {
    assert.isTrue(hasBroker("a,bc", ["x", "bc"]))
    assert.isFalse(hasBroker("a,bc", ["b", "c"]))
    assert.isFalse(hasBroker("", [""]))
  })
})

describe("the marks of a broker", () => {
  const options = (servers: string | ReadonlyArray<string>, brokerName?: string) =>
    Result.getOrThrow(SessionOptions.decode({ name: "s", servers, brokerName }))
  const marks = new BrokerMarks("program")
  const isSame = (
    one: SessionOptions.SessionOptions,
    other: SessionOptions.SessionOptions
  ): boolean => isSameBroker(marks.of(one), marks.of(other))

  it("are the addresses, however they are written", () => {
    assert.isTrue(isSame(options("mqtt://Plant.local"), options("tcp://u:p@plant.local:1883")))
    assert.isTrue(isSame(options("wss://plant.local/mqtt?token=1"), options("wss://plant.local:443/mqtt?token=2")))
    assert.isTrue(isSame(options(["mqtt://a", "mqtt://b"]), options(["mqtt://c", "mqtt://b"])))
    assert.isTrue(isSame(options("localhost"), options("127.0.0.1")))
    assert.isTrue(isSame(options("localhost"), options("[::1]:1883")))
    assert.isFalse(isSame(options("mqtt://a"), options("mqtt://b")))
    assert.isFalse(isSame(options("mqtt://a:1883"), options("mqtt://a:1884")))
    assert.isFalse(isSame(options("ws://a/one"), options("ws://a/two")))
    assert.isTrue(isSame(options("mqtt+unix:///run/a"), options("unix:///run/a")))
  })

  it("are the name, where there is one", () => {
    assert.isTrue(isSame(options("mqtt://a", "plant"), options("mqtt://b", "plant")))
    assert.isFalse(isSame(options("mqtt://a", "one"), options("mqtt://a", "two")))
    assert.isFalse(isSame(options("mqtt://a", "plant"), options("mqtt://a")))
    assert.deepStrictEqual(marks.of(options("mqtt://a", "plant")), ["plant"])
  })

  it("count in their program only, unless they are names, and do not show the addresses", () => {
    const other = new BrokerMarks("another")
    assert.isFalse(isSameBroker(marks.of(options("mqtt://a")), other.of(options("mqtt://a"))))
    assert.isTrue(isSameBroker(marks.of(options("mqtt://a", "plant")), other.of(options("mqtt://a", "plant"))))
    assert.match(marks.of(options("mqtt://secret.example"))[0]!, /^@[0-9a-z]{8}$/)
  })

  it("are one array for all sessions that have them", () => {
    assert.strictEqual(marks.of(options("mqtt://a")), marks.of(options("mqtt://a")))
  })
})

describe("digests and memories", () => {
  it("distinguish topics, payloads and the border between them", () => {
    const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
    const all = new Set<number>()
    for (let i = 0; i < 100_000; i++) all.add(digest(`t/${i % 100}`, bytes(String(i))))
    assert.strictEqual(all.size, 100_000)
    assert.notStrictEqual(digest("ab", bytes("c")), digest("a", bytes("bc")))
    assert.strictEqual(digest("t", bytes("x")), digest("t", bytes("x")))
  })

  it("forget what was not asked for longest", () => {
    const recent = new Recent<number>(2)
    recent.set("a", 1)
    recent.set("b", 2)
    assert.strictEqual(recent.get("a"), 1)
    recent.set("c", 3)
    assert.deepStrictEqual([recent.get("a"), recent.get("b"), recent.get("c")], [1, undefined, 3])
  })
})

describe("the record of origins", () => {
  const origin = (packetIdentifier: number, use: string, forwarder = "f") => ({
    forwarder,
    session: "a",
    packetIdentifier,
    use
  })

  it("knows what the store knew, by forwarder and use, and forgets what was released", () => {
    const forgotten: Array<string> = []
    const ledger = new OriginLedger({ forget: (key) => forgotten.push(key) }, [
      { _tag: "Origin", origin: origin(1, "x") },
      { _tag: "Origin", origin: origin(2, "y") }
    ])
    assert.isTrue(ledger.has(origin(1, "x")))
    assert.isFalse(ledger.has(origin(1, "z")))
    assert.isFalse(ledger.has(origin(1, "x", "g")))
    ledger.add(origin(1, "z"))
    assert.isFalse(ledger.has(origin(1, "x")))
    ledger.release(origin(2, ""))
    ledger.release(origin(3, ""))
    assert.deepStrictEqual(forgotten, ["origin/2/1/f/a"])
    assert.strictEqual(ledger.size, 1)
  })

  it("keeps of a forwarder what its source has not finished", () => {
    const forgotten: Array<string> = []
    const ledger = new OriginLedger({ forget: (key) => forgotten.push(key) }, [
      { _tag: "Origin", origin: origin(1, "x") },
      { _tag: "Origin", origin: origin(2, "y") },
      { _tag: "Origin", origin: origin(3, "z") },
      { _tag: "Origin", origin: origin(3, "z", "g") }
    ])
    const uses = new Map([[1, "x"], [2, "another"]])
    ledger.retain("f", "a", (packetIdentifier) => uses.get(packetIdentifier))
    assert.deepStrictEqual(forgotten, ["origin/2/1/f/a", "origin/3/1/f/a"])
    assert.isTrue(ledger.has(origin(1, "x")))
    assert.isTrue(ledger.has(origin(3, "z", "g")))
    ledger.forgetForwarder("g")
    assert.isFalse(ledger.has(origin(3, "z", "g")))
  })
})
