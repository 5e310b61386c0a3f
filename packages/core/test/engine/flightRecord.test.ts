/**
 * Flight records of the engine: what is recorded runs again with identical outputs, from the begin or from the state at
 * which the ring begins, a planted fault shows at the step where it shows, and the ring keeps to its bound.
 */
import { assert, describe, it } from "@effect/vitest"
import { makeDecoder } from "../../src/internal/codec/decoder.ts"
import { makeEncoder } from "../../src/internal/codec/encoder.ts"
import type { Consumer, EngineOptions, SessionEngine } from "../../src/internal/engine/contract.ts"
import { makeEngine } from "../../src/internal/engine/engine.ts"
import { RecordedEngine } from "../../src/internal/engine/recording/recordedEngine.ts"
import { format, headerLine, keep, linesOf, version } from "../../src/internal/engine/recording/recordLines.ts"
import { parseHeader, type Replayed, ReplayedEngine } from "../../src/internal/engine/recording/replayedEngine.ts"
import type { Packet, Publish } from "../../src/Packet.ts"
import { none } from "../../src/Properties.ts"
import { apply, enabled } from "../explore/actions.ts"
import { finish } from "../explore/finish.ts"
import { mutants } from "../explore/mutants.ts"
import { type Plan, plan } from "../explore/plan.ts"
import { tryMutant } from "../explore/report.ts"
import { load, type Subject } from "../explore/subject.ts"
import { World } from "../explore/world.ts"
import { worlds } from "../explore/worlds.ts"

type Make = (options: EngineOptions) => SessionEngine

/** The same choices for the same seed. */
const choices = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9 | 0
    return (state >>> 8) % below
  }
}

/** The bytes of packets of a server. */
const bytesOf = (packets: ReadonlyArray<Packet>, protocolVersion: 4 | 5): Uint8Array => {
  const encoder = makeEncoder(protocolVersion)
  for (const packet of packets) assert.isUndefined(encoder.write(packet))
  return new Uint8Array(Buffer.concat(encoder.take()))
}

/** Data of an enhanced authentication, which no engine gets. */
const auth: Packet = {
  _tag: "Auth",
  reasonCode: 0x18,
  properties: { authenticationMethod: "method", authenticationData: new Uint8Array(9) }
}

/**
 * A network before a recorded engine: the packets that the engine gets come as bytes before, in chunks that end
 * anywhere. `choose` decides where, and which packets have AUTH before them.
 */
const withNetwork = (
  engine: RecordedEngine,
  protocolVersion: 4 | 5,
  choose: (below: number) => number
): RecordedEngine => {
  const receive = engine.receive.bind(engine)
  return Object.assign(engine, {
    receive: (packets: ReadonlyArray<Packet>, now: number) => {
      const hasAuth = protocolVersion === 5 && packets[0]!._tag !== "Connack" && choose(8) === 0
      const bytes = bytesOf(hasAuth ? [auth, ...packets] : packets, protocolVersion)
      const decoder = makeDecoder({ role: "client", protocolVersion, maximumPacketSize: Infinity })
      const decoded: Array<Packet> = []
      for (let from = 0; from < bytes.length;) {
        const to = choose(2) === 0 ? bytes.length : Math.min(bytes.length, from + 1 + choose(300))
        const chunk = bytes.subarray(from, to)
        engine.received(chunk, decoder.bufferedBytes)
        assert.isUndefined(decoder.push(chunk, decoded))
        from = to
      }
      return receive(decoded.slice(hasAuth ? 1 : 0), now)
    }
  })
}

/** What is tested: the engine of the library, or one with a fault, each with the recorder that knows it. */
type Recorded = Awaited<ReturnType<typeof load>>

const own = {
  makeEngine,
  RecordedEngine,
  ReplayedEngine,
  linesOf: ({ recording }: RecordedEngine): ReadonlyArray<string> => {
    const { dropped, options } = recording
    const { session } = options
    return [
      headerLine({ format, version, session, cause: "request", at: 0, dropped, options }),
      ...linesOf(keep(recording))
    ]
  }
}

const ownLines = own.linesOf

const replay = (
  lines: ReadonlyArray<string>,
  make: Make = makeEngine,
  Engine: typeof ReplayedEngine = ReplayedEngine
): ReadonlyArray<Replayed> => {
  const header = parseHeader(lines[0]!)!
  const replayed = new Engine(make(header.options), header)
  return lines.slice(1).map((line) => replayed.run(line))
}

const differences = (lines: ReadonlyArray<string>): ReadonlyArray<string> =>
  replay(lines).flatMap(({ _tag, call, defect, isSame, recorded, result, step }) =>
    isSame ? [] : [`${_tag} ${step} ${call}: ${JSON.stringify(recorded)}, now ${JSON.stringify(result)} ${defect}`]
  )

/** A subject whose engines are recorded. */
const recordedSubject = (
  { makeBroker, makeEngine: make }: Subject,
  Engine: typeof RecordedEngine,
  engines: Array<RecordedEngine>,
  { bytes = 4_000_000, choose }: { readonly bytes?: number; readonly choose?: (below: number) => number } = {}
): Subject => ({
  makeBroker,
  makeEngine: (options) => {
    const engine = new Engine(make(options), options, bytes, () => {})
    engines.push(engine)
    return choose === undefined ? engine : withNetwork(engine, options.protocolVersion, choose)
  }
})

/** A world of an engine with a fault, and the records of what happened in it. */
const recordedWorld = ({ recording, ...subject }: Recorded, plan: Plan) => {
  const engines: Array<RecordedEngine> = []
  const world = new World(recordedSubject(subject, recording.RecordedEngine, engines), plan)
  return { world, records: () => engines.map(recording.linesOf) }
}

/** A recorded engine that is connected and gets packets. */
const receiving = (bytes: number) => {
  const options = plan("receiving", { durable: false }).options
  const engine = new RecordedEngine(makeEngine(options), options, bytes, () => {})
  const bring = (packets: ReadonlyArray<Packet>, chunk = bytesOf(packets, options.protocolVersion)): number => {
    engine.received(chunk, 0)
    engine.receive(packets, 1)
    engine.take()
    return chunk.length
  }
  const publish: Publish = {
    _tag: "Publish",
    topic: "t",
    payload: new Uint8Array(64),
    qos: 0,
    retain: false,
    dup: false,
    packetIdentifier: 0,
    properties: none
  }
  engine.connecting(true)
  bring([{ _tag: "Connack", sessionPresent: false, reasonCode: 0, properties: none }])
  return { engine, bring, publish }
}

describe("flight record", () => {
  it("1,000 recorded worlds run again with identical outputs and states", async () => {
    const { makeBroker } = await load()
    const seen = { steps: 0, states: 0, cut: 0 }
    for (let seed = 0; seed < 1000; seed++) {
      const plan = worlds[seed % worlds.length]!
      const engines: Array<RecordedEngine> = []
      const choose = choices(seed)
      // A third of them get packets that no network brought.
      const network = seed % 3 === 0 ? {} : { choose: choices(seed + 1) }
      const world = new World(recordedSubject({ makeBroker, makeEngine }, RecordedEngine, engines, network), plan)
      for (let i = 0; i < 30; i++) {
        const actions = enabled(world)
        // Half of them begin in the middle.
        if (seed % 2 === 1 && choose(12) === 0) engines.at(-1)!.rotate()
        apply(world, actions[choose(actions.length)]!)
      }
      finish(world)
      for (const engine of engines) {
        const lines = ownLines(engine)
        assert.deepStrictEqual(differences(lines), [], `${plan.name}, seed ${seed}`)
        if (engine.recording.dropped > 0) seen.cut++
        seen.states += lines.filter((line) => line.startsWith(`{"state"`)).length
        seen.steps += lines.length
      }
    }
    assert.isAbove(seen.steps, 50_000)
    assert.isAbove(seen.states, 500)
    assert.isAbove(seen.cut, 200)
  }, 120_000)

  it(
    "a record of a planted fault fails in the same way, and the engine without the fault gives other outputs",
    async () => {
      let others = 0
      // The search for each takes a second or two: some are enough here.
      const chosen = mutants.filter((_, index) => index % 4 === 0)
      for (const mutant of chosen) {
        const subject = await load(mutant.edits)
        const bounds = { depth: 10, states: 3000, seconds: 60 }
        const { killer } = await tryMutant(mutant, bounds)
        const { finding, plan } = killer!
        const { records: recordsOf, world } = recordedWorld(subject, plan)
        const fail = (): unknown => {
          try {
            for (const action of finding!.trace) apply(world, action)
            finish(world)
            return undefined
          } catch (cause) {
            return cause
          }
        }
        const cause = fail()
        assert.include(String((cause as Error).message), finding!.isAtEnd ? "" : finding!.detail.split("\n")[0]!)
        const records = recordsOf()
        for (const lines of records) {
          const steps = replay(lines, subject.makeEngine, subject.recording.ReplayedEngine)
          assert.deepStrictEqual(steps.filter(({ isSame }) => !isSame), [], mutant.name)
          // What the engine threw it throws again.
          const last = steps.at(-1)
          if (last?.recorded === "threw") assert.strictEqual(String(last.defect), String(cause))
        }
        if (records.some((lines) => differences(lines).length > 0)) others++
      }
      // Some faults change nothing before the end of the world that finds them.
      assert.isAbove(others, chosen.length / 2)
    },
    240_000
  )

  it("names the first step that differs, with what was recorded and what is answered now", async () => {
    const mutant = mutants.find(({ name }) => name === "acknowledged as soon as one of several consumers has answered")!
    const subject = await load(mutant.edits)
    const { records, world } = recordedWorld(subject, worlds.find(({ name }) => name === "share-two-qos1")!)
    for (const action of ["serve", "to-client", "take", "ack 0 0", "take"]) apply(world, action)
    const first = replay(records()[0]!).find(({ isSame }) => !isSame)!
    assert.strictEqual(first.call, "take")
    assert.strictEqual((first.recorded as { readonly packets: number }).packets, 1)
    assert.isNull(first.result)
  })

  it("the ring keeps to its bound in bytes, and its record can be run again", async () => {
    const { makeBroker } = await load()
    const engines: Array<RecordedEngine> = []
    const bytes = 262_144
    const qos = Array.from({ length: 3000 }, (_, index) => index % 3 as 0 | 1 | 2)
    const busy = plan("busy", {
      toServer: qos,
      toClient: qos,
      slots: [{ initial: true }],
      budget: { cuts: 3000 },
      options: { queue: { messages: 4000, bytes: 1_000_000, policy: "suspend" } }
    })
    const world = new World(
      recordedSubject({ makeBroker, makeEngine }, RecordedEngine, engines, { bytes, choose: choices(1) }),
      busy
    )
    const [engine] = engines
    let largest = 0
    for (let i = 0; i < 3000; i++) {
      apply(world, "publish")
      apply(world, "serve")
      if (i % 50 === 49) apply(world, "cut 0")
      if (world.connection === undefined) world.connect(undefined)
      world.settle()
      while (world.slots[0]!.pending.length > 0) world.acknowledge(0, 0)
      largest = Math.max(largest, engine!.bytes)
    }
    const { dropped, segments } = engine!.recording
    assert.isAbove(dropped, 1000)
    assert.lengthOf(segments, 2)
    assert.isAtMost(largest, bytes)
    assert.deepStrictEqual(differences(ownLines(engine!)), [])
  })

  it("has no payload, no user property and no correlation data, and the sizes of the messages", () => {
    const options = plan("secrets", { durable: false }).options
    const engine = withNetwork(
      new RecordedEngine(makeEngine(options), options, 1_000_000, () => {}),
      options.protocolVersion,
      choices(1)
    )
    const secret = new TextEncoder().encode("hunter2")
    const properties = {
      userProperties: [["hunter2", "hünter2 €"]],
      correlationData: secret,
      contentType: "text"
    } as const
    engine.connecting(true)
    engine.receive([{
      _tag: "Connack",
      sessionPresent: false,
      reasonCode: 0,
      properties: { authenticationMethod: "method", authenticationData: secret }
    }], 1)
    const request = { topic: "t", payload: secret, qos: 1, retain: false, topicAlias: 0 } as const
    engine.publish({ ...request, properties, expiresAfter: 5000, origin: undefined }, 1)
    const publish: Publish = { ...request, _tag: "Publish", dup: false, packetIdentifier: 1, properties }
    engine.receive([publish], 2)
    engine.rotate()
    engine.take()
    const lines = ownLines(engine)
    assert.isAbove(lines.length, 6)
    for (const line of lines) {
      for (const form of ["hunter2", "hünter2", "aHVudGVyMg", "68756e74657232", "104,117,110"]) {
        assert.notInclude(line, form)
      }
    }
    assert.deepStrictEqual(differences(lines), [])
    const header = parseHeader(lines[0]!)!
    const replayed = new ReplayedEngine(makeEngine(header.options), header)
    for (const line of lines.slice(1)) replayed.run(line)
    assert.strictEqual(replayed.engine.stats.inflightBytes, engine.stats.inflightBytes)
    assert.strictEqual(replayed.engine.stats.heldBytes, engine.stats.heldBytes)
    assert.isAbove(engine.stats.heldBytes, 0)
  })

  it("an exception of the engine is reported after it is recorded, and the record reproduces it", () => {
    const options = plan("throws", { durable: false }).options
    const faulty: Make = (options) =>
      Object.assign(makeEngine(options), {
        publish: () => {
          throw new RangeError("a fault")
        }
      })
    const faults: Array<string> = []
    const engine: RecordedEngine = new RecordedEngine(faulty(options), options, 1_000_000, ({ _tag }) => {
      faults.push(_tag, ownLines(engine).at(-1)!)
    })
    engine.connecting(true)
    const request = { topic: "t", payload: new Uint8Array(1), qos: 1, retain: false, topicAlias: 0 } as const
    assert.throws(
      () => engine.publish({ ...request, properties: none, expiresAfter: undefined, origin: undefined }, 1),
      "a fault"
    )
    assert.strictEqual(faults[0], "defect")
    assert.include(faults[1], `"result":"threw"`)
    const last = replay(ownLines(engine), faulty).at(-1)!
    assert.isTrue(last.isSame)
    assert.strictEqual(String(last.defect), "RangeError: a fault")
    assert.isFalse(replay(ownLines(engine)).at(-1)!.isSame)
  })

  it("a state larger than its share of the ring is not recorded, and recording goes on when it is smaller", () => {
    const options =
      plan("large", { durable: false, options: { queue: { messages: 9, bytes: 1e6, policy: "suspend" } } })
        .options
    const make = (bytes: number) => new RecordedEngine(makeEngine(options), options, bytes, () => {})
    const engine = make(4096)
    engine.tick(1)
    engine.rotate()
    assert.lengthOf(engine.recording.segments, 0)
    assert.strictEqual(engine.recording.dropped, 1)
    assert.lengthOf(ownLines(engine), 1)
    for (let i = 0; i < 100_000; i++) engine.tick(2)
    assert.strictEqual(engine.recording.dropped, 100_001)
  })

  it("a consumer from before the start of the ring is recorded once, however often it acknowledges", () => {
    const options = plan("earlier", { durable: false }).options
    const engine = withNetwork(
      new RecordedEngine(makeEngine(options), options, 1_000_000, () => {}),
      options.protocolVersion,
      choices(1)
    )
    engine.connecting(true)
    engine.receive([{ _tag: "Connack", sessionPresent: false, reasonCode: 0, properties: none }], 1)
    const consumer = engine.addConsumer(
      { filters: ["t"], qos: 1, noLocal: false, retainAsPublished: false, retained: "none", keep: false },
      1
    )
    assert.isFalse("_tag" in consumer)
    engine.take()
    engine.receive([{ _tag: "Suback", packetIdentifier: 1, reasonCodes: [1], properties: none }], 2)
    engine.rotate()
    for (let i = 1; i <= 100; i++) {
      const publish: Publish = {
        _tag: "Publish",
        topic: "t",
        payload: new Uint8Array(1),
        qos: 1,
        retain: false,
        dup: false,
        packetIdentifier: i,
        properties: none
      }
      engine.receive([publish], 2 + i)
      const { deliveries } = engine.take()!
      engine.acknowledge(consumer as Consumer, deliveries[0]!.delivery, 2 + i)
    }
    assert.lengthOf(engine.recording.segments.at(-1)!.objects, 1)
    assert.deepStrictEqual(differences(ownLines(engine)), [])
  })

  it("begins with the state of a large store, and does not keep its records", () => {
    const { options } = plan("stored", {})
    const engine = new RecordedEngine(makeEngine(options), options, 4_000_000, () => {})
    engine.restore(
      Array.from({ length: 1000 }, (_, index) => ({
        _tag: "Outbound",
        sequence: index + 1,
        state: "publishing",
        packetIdentifier: index + 1,
        topic: "t",
        payload: new Uint8Array(1000),
        qos: 1,
        retain: false,
        properties: none,
        acceptedAt: 0,
        expiresAt: undefined
      })),
      1
    )
    assert.isAtMost(engine.bytes, 1_000_000)
    assert.isAbove(engine.bytes, 200_000)
    engine.connecting(false)
    engine.receive([{ _tag: "Connack", sessionPresent: true, reasonCode: 0, properties: none }], 2)
    assert.lengthOf(engine.take()!.packets, 1000)
    assert.deepStrictEqual(differences(ownLines(engine)), [])
  })

  it("a chunk that is larger than the ring is not recorded, and later ones are", () => {
    const { bring, engine, publish } = receiving(65_536)
    bring(Array.from({ length: 1000 }, () => publish))
    assert.lengthOf(engine.recording.segments, 0)
    assert.isAtMost(engine.bytes, 65_536)
    for (let i = 0; i < 1000; i++) bring([publish])
    const lines = ownLines(engine)
    assert.isAbove(lines.length, 100)
    assert.deepStrictEqual(differences(lines), [])
    assert.isAtMost(engine.bytes, 65_536)
  })

  it("of the bytes that may be kept, more than a third is always there, and a state is taken once in five eighths", () => {
    const bytes = 1_048_576
    const { bring, engine, publish } = receiving(bytes)
    const kept = bytes * 5 / 8 * 15 / 16
    const packets = Array.from({ length: 100 }, () => publish)
    const chunk = bytesOf(packets, 5)
    const states = new Set<object>()
    let total = 0
    let least = Infinity
    while (total < 8 * kept) {
      total += bring(packets, chunk)
      const { received, segments } = engine.recording
      states.add(segments.at(-1)!)
      if (total > kept) least = Math.min(least, received.end - segments[0]!.start.position)
      assert.isAtMost(engine.bytes, bytes)
    }
    assert.isAbove(least, kept / 3)
    assert.isAtMost(states.size, total / kept * 8 / 5 + 2)
    assert.deepStrictEqual(differences(ownLines(engine)), [])
  })

  it("topics of direct publishes come back, also of those that are not written, and of one that waited", () => {
    const options = plan("direct", { durable: false }).options
    const engine = new RecordedEngine(makeEngine(options), options, 1_000_000, () => {})
    const request = {
      payload: new Uint8Array(1),
      qos: 0,
      retain: false,
      properties: none,
      topicAlias: 0,
      expiresAfter: undefined,
      origin: undefined
    } as const
    const publish = (topic: string, isAppended = true): void => {
      if (engine.direct.publish({ ...request, topic }, 1) !== undefined && isAppended) engine.direct.appended(topic)
    }
    engine.connecting(true)
    publish("offline")
    engine.receive([{ _tag: "Connack", sessionPresent: false, reasonCode: 0, properties: none }], 1)
    engine.setWritable(true, 1)
    publish("written")
    publish("refused by the writer", false)
    publish("written too")
    engine.direct.written()
    publish("before the state")
    engine.rotate()
    publish("after the state")
    engine.direct.written()
    publish("not written")
    const lines = ownLines(engine)
    const steps = lines.slice(1).map((line) => JSON.parse(line) as Record<string, never>)
    assert.deepStrictEqual(
      steps.flatMap(({ args, call, result }) => call === "direct.publish" ? [`${args[0]["topic"]} ${result}`] : []),
      [
        "offline Waits",
        "written Appended",
        "refused by the writer NotAppended",
        "written too Appended",
        "before the state Appended",
        "after the state Appended",
        "not written Appended"
      ]
    )
    assert.deepStrictEqual(differences(lines), [])
    // Of the newer half alone, as when the older one was dropped.
    const state = lines.findIndex((line) => line.startsWith(`{"state"`))
    const header = JSON.parse(lines[0]!) as object
    const newer = [JSON.stringify({ ...header, dropped: state - 1 }), ...lines.slice(state)]
    assert.include(newer.join(), "after the state")
    assert.deepStrictEqual(differences(newer), [])
  })

  it("a line that is not part of a record is refused with the reason", () => {
    const options = plan("lines", {}).options
    const engine = new RecordedEngine(makeEngine(options), options, 1_000_000, () => {})
    engine.publish(
      {
        topic: "t",
        payload: new Uint8Array(1),
        qos: 1,
        retain: false,
        properties: none,
        topicAlias: 0,
        expiresAfter: undefined,
        origin: undefined
      },
      1
    )
    engine.take()
    const [first, publish, take] = ownLines(engine) as [string, string, string]
    const header = parseHeader(first)!
    const run = (...lines: ReadonlyArray<string>) => () => {
      const replayed = new ReplayedEngine(makeEngine(header.options), header)
      for (const line of lines) replayed.run(line)
    }
    assert.doesNotThrow(run(publish, take))
    assert.throws(run(take), "step 1 is missing")
    assert.throws(run("{"), "this is no JSON")
    assert.throws(run("[]"), "this is no line of a flight record")
    assert.throws(run(`{"step":1,"now":0,"call":"constructor","args":[]}`), `"constructor" is no call of an engine`)
    assert.throws(run(`{"step":1,"now":0,"call":"acknowledge","args":[1,2]}`), "an argument is no reference")
    const later = new ReplayedEngine(makeEngine(header.options), { ...header, dropped: 1 })
    assert.throws(() => later.run(take), "the state at the begin of the record is missing")
    assert.throws(() => later.run(`{"state":{"places":[["Router",{}]]},"nextDelivery":0}`), "place 0 is no Engine")
    assert.throws(() => parseHeader(first.replace(`"version":1`, `"version":2`)), "version 2")
    assert.isUndefined(parseHeader(`{"topic":"t"}`))
  })
})
