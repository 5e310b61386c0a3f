import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import { digest } from "../../src/internal/forwarder/digest.ts"
import { Echoes } from "../../src/internal/forwarder/echoes.ts"
import { extendRoute, routeOf, verdict } from "../../src/internal/forwarder/route.ts"
import { Recent } from "../../src/internal/forwarder/selection.ts"
import { Tally } from "../../src/internal/forwarder/tally.ts"
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

  it("whoever waits as long as it says gets the whole rate", () => {
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
    const { receivedRate } = new Tally()
    for (let at = 0; at < 20_000; at += 100) receivedRate.add(at)
    assert.strictEqual(receivedRate.at(20_000), 10)
    assert.strictEqual(receivedRate.at(25_500), 5)
    assert.strictEqual(receivedRate.at(60_000), 0)
  })

  it("are right from the first second on", () => {
    const { receivedRate } = new Tally()
    for (let i = 0; i < 6; i++) receivedRate.add(100)
    assert.strictEqual(receivedRate.at(900), 6)
    assert.strictEqual(receivedRate.at(2100), 3)
  })
})

describe("the way of a message", () => {
  it("grows with each forwarder, and ends at one that it has passed or at the bound", () => {
    assert.strictEqual(routeOf([["a", "1"], ["mqttx-forwarders", "x,y"]]), "x,y")
    assert.strictEqual(routeOf(undefined), "")
    assert.strictEqual(extendRoute(extendRoute("", "x"), "y"), "x,y")
    assert.isUndefined(verdict("", "x", 8))
    assert.isUndefined(verdict("xy,yx", "x", 8))
    assert.strictEqual(verdict("y,x", "x", 8), "looped")
    assert.strictEqual(verdict("a,b", "x", 2), "tooManyHops")
    assert.strictEqual(verdict("a".repeat(60_000), "x", 8), "tooManyHops")
  })
})

describe("echoes", () => {
  const reader = { filters: ["t/#"], protocolVersion: 4 as const }

  it("each reader takes what was written once, for five seconds", () => {
    const echoes = new Echoes()
    const other = { ...reader }
    echoes.read(["s"], reader)
    echoes.read(["s"], other)
    echoes.note(["s"], 1, "f", 0)
    assert.strictEqual(echoes.take(["s"], 1, reader, "t/1", 10), "f")
    assert.strictEqual(echoes.take(["s"], 1, reader, "t/1", 10), "")
    assert.strictEqual(echoes.take(["s"], 1, other, "t/1", 10), "f")
    echoes.note(["s"], 1, "f", 1000)
    echoes.note(["s"], 2, "g", 2000)
    assert.strictEqual(echoes.take(["s"], 1, reader, "t/1", 6000), "")
    assert.strictEqual(echoes.take(["s"], 2, reader, "t/1", 6000), "g")
    assert.strictEqual(echoes.take(["other"], 2, reader, "t/1", 6000), "")
    assert.isFalse(echoes.hasAny(["other"]))
  })

  it("a reader whose filters overlap takes it once for each of them", () => {
    const echoes = new Echoes()
    const twice = { filters: ["t/#", "+/1", "u"], protocolVersion: 4 as const }
    echoes.read(["s"], twice)
    echoes.note(["s"], 1, "f", 0)
    const taken = [1, 2, 3].map(() => echoes.take(["s"], 1, twice, "t/1", 0))
    assert.deepStrictEqual(taken, ["f", "f", ""])
  })

  it("nothing is kept for servers that nobody reads from, and no more than is bounded", () => {
    const echoes = new Echoes()
    assert.isFalse(echoes.isRead(["s"], 4))
    const end = echoes.read(["s"], { filters: ["#"], protocolVersion: 5 })
    assert.isTrue(echoes.isRead(["s"], 4))
    assert.isFalse(echoes.isRead(["s"], 5))
    echoes.read(["s"], reader)
    assert.isTrue(echoes.isRead(["s"], 5))
    for (let key = 0; key < 70_000; key++) echoes.note(["s"], key, "f", 0)
    assert.strictEqual(echoes.take(["s"], 0, reader, "t/1", 0), "")
    assert.strictEqual(echoes.take(["s"], 69_999, reader, "t/1", 0), "f")
    end()
  })
})

describe("digests and memories", () => {
  it("tell topics, payloads and the border between them apart", () => {
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

describe("the ledger of origins", () => {
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
