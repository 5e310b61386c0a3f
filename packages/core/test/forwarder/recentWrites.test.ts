import { Message } from "@effect-mqttx/core/Message"
import type { QoS } from "@effect-mqttx/core/QoS"
import { assert, describe, it } from "@effect/vitest"
import type { Outbound } from "../../src/internal/engine/contract.ts"
import { Reader, type ReaderOptions } from "../../src/internal/forwarder/reader.ts"
import { RecentWrites, type WrittenMessage } from "../../src/internal/forwarder/recentWrites.ts"
import type { Route } from "../../src/internal/forwarder/route.ts"

const encoder = new TextEncoder()

const route = (name: string): Route => ({ forwarders: name, brokers: `a,${name}` })

/** A reader whose session can be cut, and one broker for all unless the options say otherwise. */
const makeReader = (options: Partial<ReaderOptions> = {}) => {
  const session = { connection: {} as unknown, now: () => 0 }
  const reader = new Reader({
    brokers: ["s"],
    filters: ["t/#"],
    protocolVersion: 4,
    share: undefined,
    isResumed: true,
    ...options
  })
  reader.attach(session)
  return {
    reader,
    cut: () => {
      session.connection = undefined
    },
    connect: () => {
      session.connection = {}
    }
  }
}

interface Publication {
  readonly brokers?: ReadonlyArray<string>
  readonly topic?: string
  readonly payload?: string
  readonly qos?: QoS
  readonly retain?: boolean
  readonly state?: Outbound["state"]
  readonly isCarried?: boolean
}

class World {
  readonly recentWrites = new RecentWrites()

  read(...readers: ReadonlyArray<ReturnType<typeof makeReader>>): ReadonlyArray<() => void> {
    return readers.map(({ reader }) => this.recentWrites.read(reader, 0))
  }

  /** A message on its way. */
  write(name: string, now: number, publication: Publication = {}): WrittenMessage {
    const {
      brokers = ["s"],
      isCarried = false,
      payload = "1",
      qos = 1,
      retain = false,
      state = "publishing",
      topic = "t/1"
    } = publication
    const request = { topic, payload: encoder.encode(payload), qos, retain }
    return this.recentWrites.note(brokers, { request, state } as never, route(name), isCarried, now)!
  }

  /** The same, and the server has it at once. */
  written(name: string, now: number, publication: Publication = {}): void {
    this.write(name, now, publication).settle(now)
  }

  take(
    { reader }: ReturnType<typeof makeReader>,
    now: number,
    { dup = false, packetIdentifier = 0, payload = "1", retain = false, topic = "t/1" } = {}
  ): string | undefined {
    const message = new Message({
      topic,
      payload: encoder.encode(payload),
      qos: packetIdentifier === 0 ? 0 : 1,
      retain,
      dup,
      properties: {},
      session: "s",
      receivedAt: now
    })
    return this.recentWrites.take(reader, message, packetIdentifier, now)?.forwarders
  }
}

describe("recent writes: copies", () => {
  it("each reader recognises a written message once, and equal ones of others pass", () => {
    const world = new World()
    const [one, two] = [makeReader(), makeReader()]
    world.read(one, two)
    world.written("f", 0)
    world.written("g", 0)
    assert.deepStrictEqual([1, 2, 3].map(() => world.take(one, 10)), ["f", "g", undefined])
    assert.deepStrictEqual([1, 2, 3].map(() => world.take(two, 10)), ["f", "g", undefined])
    world.written("f", 20)
    assert.isUndefined(world.take(one, 20, { payload: "2" }))
    assert.isUndefined(world.take(one, 20, { topic: "t/2" }))
    assert.strictEqual(world.take(one, 20), "f")
  })

  it("a reader whose filters overlap recognises it once for each of them", () => {
    const world = new World()
    const reader = makeReader({ filters: ["t/#", "+/1", "u"] })
    world.read(reader)
    world.written("f", 0)
    assert.deepStrictEqual([1, 2, 3].map(() => world.take(reader, 0)), ["f", "f", undefined])
  })

  it("the members of a group take the copies of one", () => {
    const world = new World()
    const [one, two] = [makeReader({ share: "group" }), makeReader({ share: "group" })]
    const other = makeReader({ filters: ["$share/other/t/#"] })
    world.read(one, two, other)
    world.written("f", 0)
    assert.deepStrictEqual([world.take(one, 0), world.take(two, 0), world.take(one, 0)], ["f", undefined, undefined])
    assert.deepStrictEqual([world.take(other, 0), world.take(other, 0)], ["f", undefined])
  })

  it("a broker of several addresses is one, in whatever order its sessions come", () => {
    const world = new World()
    const [one, two] = [makeReader({ brokers: ["x"] }), makeReader({ brokers: ["y"] })]
    world.read(one, two)
    world.written("early", 0, { brokers: ["y"] })
    const both = makeReader({ brokers: ["x", "y"] })
    world.read(both)
    world.written("late", 1, { brokers: ["y", "x"], payload: "2" })
    assert.deepStrictEqual([1, 2].map(() => world.take(both, 2, { payload: "2" })), ["late", undefined])
    assert.deepStrictEqual([1, 2].map(() => world.take(one, 2)), ["early", undefined])
    assert.deepStrictEqual([1, 2].map(() => world.take(two, 2)), ["early", undefined])
  })

  it("a reader that sees the route on the message itself does not use recent writes", () => {
    const world = new World()
    const [old, young] = [makeReader(), makeReader({ protocolVersion: 5 })]
    world.read(old, young)
    world.written("f", 0, { isCarried: true })
    // An equal message that carries no route is another client's.
    assert.isUndefined(world.take(young, 0))
    assert.strictEqual(world.take(old, 0), "f")
    world.written("g", 0)
    assert.strictEqual(world.take(young, 0), "g")
  })

  it("a copy that the server repeats is recognised as before, and counts once", () => {
    const world = new World()
    const reader = makeReader()
    world.read(reader)
    world.written("f", 0)
    assert.strictEqual(world.take(reader, 1, { packetIdentifier: 7 }), "f")
    assert.strictEqual(world.take(reader, 9000, { packetIdentifier: 7, dup: true }), "f")
    assert.isUndefined(world.take(reader, 9000, { packetIdentifier: 8, dup: true }))
    // The identifier is used again.
    assert.isUndefined(world.take(reader, 9001, { packetIdentifier: 7, payload: "2" }))
    assert.isUndefined(world.take(reader, 9002, { packetIdentifier: 7, dup: true }))
  })
})

describe("recent writes: time", () => {
  it("a message is recognised for five seconds after the server has it, however long that took", () => {
    const world = new World()
    const reader = makeReader()
    world.read(reader)
    const slow = world.write("slow", 0)
    world.written("quick", 0, { payload: "2" })
    assert.isUndefined(world.take(reader, 5000, { payload: "2" }))
    slow.settle(60_000)
    assert.strictEqual(world.take(reader, 64_999), "slow")
    world.written("again", 70_000)
    assert.isUndefined(world.take(reader, 75_000))
  })

  it("what waits in a queue cannot have come back, and what was refused never does", () => {
    const world = new World()
    const reader = makeReader()
    world.read(reader)
    world.write("waiting", 0, { state: "queued" })
    assert.isUndefined(world.take(reader, 1))
    const refused = world.write("refused", 0, { payload: "2" })
    refused.discard()
    assert.isUndefined(world.take(reader, 1, { payload: "2" }))
    world.written("next", 1, { payload: "2" })
    assert.deepStrictEqual([1, 2].map(() => world.take(reader, 1, { payload: "2" })), ["next", undefined])
  })

  it("the time that messages wait for the reader does not count", () => {
    const world = new World()
    const reader = makeReader()
    world.read(reader)
    world.written("f", 0)
    reader.reader.waitingSince = 1000
    for (let i = 0; i < 10; i++) world.written("other", 1000 * i, { payload: "other" })
    assert.strictEqual(world.take(reader, 30_000), "f")
    reader.reader.waitingSince = undefined
    assert.isUndefined(world.take(reader, 30_000, { payload: "other" }))
  })

  for (const [isResumed, qos, expected] of [[true, 1, "f"], [true, 0, undefined], [false, 1, undefined]] as const) {
    it(`what was written at QoS ${qos} around a gap of a session that is ${isResumed ? "" : "not "}resumed`, () => {
      const world = new World()
      const reader = makeReader({ isResumed })
      world.read(reader)
      world.written("f", 0, { qos })
      world.written("f", 1, { qos, payload: "2" })
      reader.cut()
      world.written("f", 40_000, { qos, payload: "3" })
      world.written("other", 59_000, { payload: "other" })
      reader.connect()
      assert.strictEqual(world.take(reader, 60_000, { payload: "2" }), expected)
      assert.strictEqual(world.take(reader, 64_999, { payload: "3" }), expected)
      assert.isUndefined(world.take(reader, 65_001))
    })
  }

  it("a reader that stops and starts has a gap", () => {
    const world = new World()
    const { reader, ...cuts } = makeReader()
    world.read({ reader, ...cuts })
    world.written("f", 0)
    reader.detach(1)
    reader.attach({ connection: {}, now: () => 20_000 })
    assert.strictEqual(world.take({ reader, ...cuts }, 20_001), "f")
  })
})

describe("recent writes: retained messages", () => {
  it("are recognised whenever a subscription begins, until another one takes their place", () => {
    const world = new World()
    const reader = makeReader()
    world.read(reader)
    world.written("f", 0, { retain: true })
    assert.strictEqual(world.take(reader, 1), "f")
    for (const now of [2, 100_000, 200_000]) assert.strictEqual(world.take(reader, now, { retain: true }), "f")
    // Not the ones that somebody else has put there, and not copies without the mark.
    assert.isUndefined(world.take(reader, 200_000, { retain: true, payload: "2" }))
    assert.isUndefined(world.take(reader, 200_000))
    world.written("g", 300_000, { retain: true, payload: "2" })
    assert.isUndefined(world.take(reader, 300_000, { retain: true }))
    assert.strictEqual(world.take(reader, 300_000, { retain: true, payload: "2" }), "g")
    // The copy that passes is another one.
    assert.strictEqual(world.take(reader, 300_000, { payload: "2" }), "g")
  })
})

describe("recent writes: bounds", () => {
  it("nothing is noted where no forwarder reads that needs it", () => {
    const world = new World()
    assert.isFalse(world.recentWrites.isNeeded(4))
    const [young] = [makeReader({ protocolVersion: 5 })]
    const [end] = world.read(young)
    assert.isTrue(world.recentWrites.isNeeded(4))
    assert.isFalse(world.recentWrites.isNeeded(5))
    assert.isUndefined(world.write("f", 0, { isCarried: true }))
    assert.isUndefined(world.write("f", 0, { brokers: ["elsewhere"] }))
    assert.isDefined(world.write("f", 0))
    const [endOld] = world.read(makeReader())
    assert.isTrue(world.recentWrites.isNeeded(5))
    endOld!()
    endOld!()
    assert.isFalse(world.recentWrites.isNeeded(5))
    end!()
    assert.isFalse(world.recentWrites.isNeeded(4))
    assert.isUndefined(world.write("f", 0))
  })

  it("no more is kept than is bounded", () => {
    const world = new World()
    const reader = makeReader()
    world.read(reader)
    for (let i = 0; i < 70_000; i++) world.written("f", 0, { payload: String(i) })
    assert.isUndefined(world.take(reader, 0, { payload: "0" }))
    assert.strictEqual(world.take(reader, 0, { payload: "69999" }), "f")
    for (let i = 0; i < 70_000; i++) world.written("f", 0, { topic: `t/${i}`, retain: true })
    assert.isUndefined(world.take(reader, 100_000, { topic: "t/0", retain: true }))
    assert.strictEqual(world.take(reader, 100_000, { topic: "t/69999", retain: true }), "f")
  })

  it("equal messages are looked at once each, however many there are", () => {
    const world = new World()
    const [reader, idle] = [makeReader(), makeReader()]
    world.read(reader, idle)
    let looks = 0
    const mayHave = reader.reader.mayHave.bind(reader.reader)
    reader.reader.mayHave = (...args) => {
      looks++
      return mayHave(...args)
    }
    for (let i = 0; i < 20_000; i++) {
      world.written("f", i)
      assert.strictEqual(world.take(reader, i), "f")
    }
    assert.isBelow(looks, 100_000)
  })
})
