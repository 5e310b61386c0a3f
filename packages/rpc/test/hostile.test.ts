/**
 * Bytes that no honest side sends, and more of them than there may be: they harm nothing, and what they concern fails
 * with a typed error.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, References, type Scope, Stream } from "effect"
import { cut, decode, encode, type Packet } from "../src/internal/packets.ts"
import { failureOf, makeWorld, scripted, until, type World } from "./support.ts"

const test = (
  name: string,
  body: (world: World & { readonly broker: NonNullable<World["broker"]> }) => Effect.Effect<
    void,
    unknown,
    Scope.Scope
  >
) =>
  describe.each([4, 5] as const)("MQTT %s", (version) => {
    it.live(name, () =>
      Effect.scoped(
        Effect.flatMap(makeWorld(version, "json"), (world) => body({ ...world, broker: world.broker! }))
      ).pipe(Effect.provide(scripted()), Effect.provideService(References.MinimumLogLevel, "None")))
  })

/** The topics that a broker has seen, below a level of the prefix. */
const topicOf = (world: World, level: string): string =>
  world.broker!.published.map(({ topic }) => topic).find((topic) => topic.startsWith(`${world.prefix}/${level}/`))!

/** The instance and the topic of the only server. */
const serverOf = ({ broker, prefix }: World): string => {
  const start = `${prefix}/servers/`
  for (const { clientId } of broker!.sessions) {
    for (const { filter } of broker!.subscriptions(clientId)) {
      if (filter.startsWith(start)) return filter.slice(start.length, -"/+/+".length)
    }
  }
  throw new Error("no server")
}

const text = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))

const part = (sender: string, call: number, body: Uint8Array, more: Partial<Packet> = {}): Uint8Array =>
  encode({ _tag: "Part", kind: "request", sender, call, sequence: 0, isLast: true, body, ...more } as Packet)

const request = (id: unknown, tag: string, payload: unknown, more: object = {}) =>
  text({ _tag: "Request", id, tag, payload, headers: [], ...more })

/** What is sent to clients until now. */
const sentTo = ({ broker, prefix }: World, client: string): ReadonlyArray<Packet> =>
  broker!.published.filter(({ topic }) => topic === `${prefix}/clients/${client}`)
    .map(({ payload }) => decode(payload)!)

const refusalsOf = (world: World, client: string): ReadonlyArray<string> =>
  sentTo(world, client).flatMap((packet) => packet._tag === "Refused" ? [packet.refusal] : [])

test("garbage on every topic harms nothing", (world) =>
  Effect.gen(function*() {
    const { broker, client, prefix, server } = world
    const { handled } = yield* server()
    const { client: group } = yield* client()
    assert.strictEqual(yield* group.Add({ a: 1, b: 2 }), 3)
    const waiting = yield* Effect.forkChild(group.Wait({ name: "one" }))
    yield* until(handled, () => handled.waits.has("one"))
    const owner = serverOf(world)
    const topics = [
      topicOf(world, "requests"),
      topicOf(world, "clients"),
      `${prefix}/requests/someone/else`,
      `${prefix}/servers/${owner}/someone/else`,
      `${prefix}/cancelled/someone/else`,
      `${prefix}/presence/clients/someone`,
      `${prefix}/presence/servers/someone`
    ]
    let state = 7
    const random = (): number => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0)
    for (const topic of topics) {
      for (let n = 0; n < 200; n++) {
        const bytes = Uint8Array.from({ length: random() % 60 }, () => random() >> 8)
        // Most begin as packets do.
        if (n % 4 > 0 && bytes.length > 2) bytes.set([1, random() % 24, random() % 12])
        yield* broker.publish(topic, bytes, { qos: 1 })
      }
      yield* broker.publish(topic, new Uint8Array(1_000_000).fill(1), { qos: 1 })
    }
    assert.strictEqual(yield* group.Add({ a: 2, b: 3 }), 5)
    handled.waits.get("one")!()
    assert.strictEqual(yield* Fiber.join(waiting), "one")
    assert.deepStrictEqual(handled.ran, ["Add 1 2", "one", "Add 2 3"])
  }))

test("invalid requests are refused, and the client gets the reason", (world) =>
  Effect.gen(function*() {
    const { broker, client, prefix, server } = world
    const { handled } = yield* server()
    const bodies: ReadonlyArray<Uint8Array> = [
      new Uint8Array(0),
      text(null),
      text([request(1, "Add", {}), request(2, "Add", {})]),
      text("Request"),
      request({}, "Add", {}),
      request(1, 5 as never, {}),
      request(1, "Add", {}, { headers: 5 }),
      request(1, "Add", {}, { headers: [["a", 1]] }),
      request(1, "Add", {}, { spanId: 5 }),
      text({ _tag: "Ack", requestId: 1 }),
      text({ _tag: "Eof" })
    ]
    for (const [call, body] of bodies.entries()) {
      yield* broker.publish(`${prefix}/requests/evil/1`, part("evil/1", call, body), { qos: 1 })
    }
    yield* broker.awaitUntil(() => refusalsOf(world, "evil/1").length === bodies.length)
    assert.deepStrictEqual(new Set(refusalsOf(world, "evil/1")), new Set(["malformed"]))
    // An unknown call, and a payload that does not fit, are for Effect's server, which answers with a defect.
    yield* broker.publish(`${prefix}/requests/evil/1`, part("evil/1", 100, request("x", "Nothing", {})), { qos: 1 })
    yield* broker.publish(`${prefix}/requests/evil/1`, part("evil/1", 101, request("y", "Add", { a: "?" })), { qos: 1 })
    yield* broker.awaitUntil(() => sentTo(world, "evil/1").filter(({ _tag }) => _tag === "Part").length === 2)
    assert.deepStrictEqual(handled.ran, [])
    const { client: group } = yield* client()
    assert.strictEqual(yield* group.Add({ a: 1, b: 2 }), 3)
  }))

test("a packet under the topic of another client is ignored", (world) =>
  Effect.gen(function*() {
    const { broker, client, prefix, server } = world
    const { handled } = yield* server()
    const { client: group } = yield* client()
    const waiting = yield* Effect.forkChild(group.Wait({ name: "one" }))
    yield* until(handled, () => handled.waits.has("one"))
    const honest = topicOf(world, "requests").slice(`${prefix}/requests/`.length)
    const cancel = encode({ _tag: "Cancel", sender: honest, call: 0 })
    // Where a broker lets clients publish below their own identifier only, this is all that another one can do.
    yield* broker.publish(`${prefix}/cancelled/evil/1`, cancel, { qos: 1 })
    yield* broker.publish(`${prefix}/servers/${serverOf(world)}/evil/1`, cancel, { qos: 1 })
    yield* broker.publish(`${prefix}/requests/evil/1`, part(honest, 9, request(9, "Add", { a: 1, b: 1 })), { qos: 1 })
    assert.strictEqual(yield* group.Add({ a: 2, b: 3 }), 5)
    assert.deepStrictEqual(handled.interrupted, [])
    assert.deepStrictEqual(handled.ran, ["one", "Add 2 3"])
    handled.waits.get("one")!()
    assert.strictEqual(yield* Fiber.join(waiting), "one")
  }))

test("a response that cannot be read fails its call, and no other", (world) =>
  Effect.gen(function*() {
    const { broker, client, server } = world
    const { handled } = yield* server()
    const { client: group } = yield* client()
    const calls = yield* Effect.forEach(["one", "two", "three"], (name) =>
      Effect.forkChild(Effect.exit(group.Wait({ name }))))
    yield* until(handled, () =>
      handled.waits.size === 3)
    const topic = `${world.prefix}/clients/${topicOf(world, "requests").slice(`${world.prefix}/requests/`.length)}`
    const answer = (call: number, body: unknown) =>
      broker.publish(topic, part("someone/1", call, text(body), { kind: "response" }), { qos: 1 })
    yield* answer(0, { _tag: "Exit", requestId: "another" })
    yield* answer(1, { _tag: "Exit", requestId: undefined })
    const kinds = yield* Effect.forEach(calls.slice(0, 2), (fiber) =>
      Effect.map(
        failureOf(Effect.flatMap(Fiber.join(fiber), (exit) => exit)),
        ({ kind }) => kind
      ))
    assert.deepStrictEqual(kinds, ["malformed", "malformed"])
    handled.waits.get("three")!()
    assert.strictEqual((yield* Fiber.join(calls[2]!))._tag, "Success")
    yield* until(handled, () => handled.interrupted.length === 2)
  }))

test("a request without a span has that of the trace context of its message", (world) =>
  Effect.gen(function*() {
    const { broker, prefix, server, version } = world
    // MQTT 3.1.1 has no user properties.
    if (version === 4) return
    yield* server()
    yield* broker.publish(`${prefix}/requests/other/1`, part("other/1", 0, request(1, "Span", null)), {
      qos: 1,
      properties: { userProperties: [["traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"]] }
    })
    yield* broker.awaitUntil(() => sentTo(world, "other/1").length > 0)
    const [answer] = sentTo(world, "other/1")
    assert.include(
      answer?._tag === "Part" ? new TextDecoder().decode(answer.body) : "",
      "4bf92f3577b34da6a3ce929d0e0e4736"
    )
  }))

test("a request that arrives again is not carried out again", (world) =>
  Effect.gen(function*() {
    const { broker, client, prefix, server } = world
    const { handled } = yield* server()
    const { client: group } = yield* client()
    assert.strictEqual(yield* group.Add({ a: 1, b: 2 }), 3)
    const topic = topicOf(world, "requests")
    const payload = broker.published.find((message) => message.topic === topic)!.payload
    for (let n = 0; n < 5; n++) yield* broker.publish(topic, payload, { qos: 1 })
    assert.strictEqual(yield* group.Add({ a: 2, b: 3 }), 5)
    assert.deepStrictEqual(handled.ran, ["Add 1 2", "Add 2 3"])
    assert.include(topic, prefix)
  }))

test("more calls than the server takes are refused before they run", ({ client, server }) =>
  Effect.gen(function*() {
    const { handled } = yield* server({ maxCalls: 2 })
    const { client: group } = yield* client()
    const kept = yield* Effect.forEach(["one", "two"], (name) => Effect.forkChild(group.Wait({ name })))
    yield* until(handled, () => handled.waits.size === 2)
    const error = yield* failureOf(group.Wait({ name: "three" }))
    assert.strictEqual(error.kind, "overloaded")
    assert.isFalse(error.mayHaveRun)
    for (const release of handled.waits.values()) release()
    yield* Effect.forEach(kept, (each) => Fiber.join(each))
    assert.strictEqual(yield* group.Add({ a: 1, b: 2 }), 3)
  }))

test(
  "messages beyond the size that one side takes fail with tooLarge",
  ({ client, server }) =>
    Effect.gen(function*() {
      yield* server({ maxMessageSize: 5000, partSize: 512 })
      const { client: group } = yield* client({ maxMessageSize: 20_000, partSize: 512 })
      const text = (length: number) => "x".repeat(length)
      const own = yield* failureOf(group.Echo({ text: text(30_000) }))
      assert.strictEqual(own.kind, "tooLarge")
      assert.isFalse(own.mayHaveRun)
      const theirs = yield* failureOf(group.Echo({ text: text(10_000) }))
      assert.strictEqual(theirs.kind, "tooLarge")
      assert.isFalse(theirs.mayHaveRun)
      const small = yield* client({ maxMessageSize: 1000 })
      const response = yield* failureOf(Stream.runDrain(small.client.Count({ to: 2000 })))
      assert.strictEqual(response.kind, "tooLarge")
      assert.isTrue(response.mayHaveRun)
      assert.strictEqual(yield* group.Echo({ text: text(4000) }), text(4000))
    })
)

test("parts of requests that never end hold no more bytes than may be held", (world) =>
  Effect.gen(function*() {
    const { broker, client, prefix, server } = world
    yield* server({ maxBufferedBytes: 10_000, partSize: 1000 })
    for (let call = 0; call < 20; call++) {
      const open = part("evil/1", call, new Uint8Array(1000), { isLast: false } as never)
      yield* broker.publish(`${prefix}/requests/evil/1`, open, { qos: 1 })
    }
    yield* broker.awaitUntil(() => refusalsOf(world, "evil/1").length === 10)
    assert.deepStrictEqual(new Set(refusalsOf(world, "evil/1")), new Set(["overloaded"]))
    const { client: group } = yield* client()
    assert.strictEqual(yield* group.Add({ a: 1, b: 2 }), 3)
    // What is cut needs memory that is not there: a typed failure, and no hang.
    const error = yield* failureOf(group.Echo({ text: "x".repeat(100_000) }))
    assert.strictEqual(error.kind, "overloaded")
  }))

test(
  "more clients than are remembered forget the idle ones",
  ({ broker, client, prefix, server }) =>
    Effect.gen(function*() {
      yield* server({ maxClients: 3 })
      for (let n = 0; n < 20; n++) {
        yield* broker.publish(`${prefix}/requests/evil/${n}`, part(`evil/${n}`, 0, text("?")), { qos: 1 })
      }
      const { client: group } = yield* client()
      assert.strictEqual(yield* group.Add({ a: 1, b: 2 }), 3)
    })
)

describe("packets", () => {
  const packets: ReadonlyArray<Packet> = [
    { _tag: "Part", kind: "request", sender: "a/1", call: 0, sequence: 0, isLast: true, body: new Uint8Array(0) },
    {
      _tag: "Part",
      kind: "response",
      sender: "ä%2f/x",
      call: Number.MAX_SAFE_INTEGER,
      sequence: 300,
      isLast: false,
      body: Uint8Array.of(1, 2, 3)
    },
    { _tag: "Part", kind: "ack", sender: "a/1", call: 127, sequence: 128, isLast: true, body: new Uint8Array(0) },
    { _tag: "Heartbeat", sender: "a/1", calls: [[0, 1], [128, 16_384], [2 ** 40, 0]] },
    { _tag: "Heartbeat", sender: "a/1", calls: [] },
    { _tag: "Accepted", sender: "a/1", call: 5 },
    { _tag: "Cancel", sender: "a/1", call: 5 },
    { _tag: "Refused", sender: "a/1", call: 5, refusal: "responseTooLarge" },
    { _tag: "Bye", sender: "a/1" }
  ]

  it.each(packets)("are bytes and back: %o", (packet) => {
    assert.deepStrictEqual(decode(encode(packet)), packet)
  })

  it("that are cut short are invalid, and so are those with more bytes, of another version or kind", () => {
    for (const packet of packets) {
      const bytes = encode(packet)
      const length = packet._tag === "Part" ? bytes.length - packet.body.length : bytes.length
      for (let end = 0; end < length; end++) {
        const short = decode(bytes.subarray(0, end))
        // A heartbeat may end after any of its calls.
        if (short !== undefined) assert.strictEqual(short._tag, "Heartbeat")
      }
      assert.isUndefined(decode(Uint8Array.of(2, ...bytes.subarray(1))))
      assert.isUndefined(decode(Uint8Array.of(1, 99, ...bytes.subarray(2))))
      if (packet._tag !== "Part" && packet._tag !== "Heartbeat") assert.isUndefined(decode(Uint8Array.of(...bytes, 0)))
    }
  })

  it("a body is cut into parts of the size, and an empty one is one part", () => {
    assert.deepStrictEqual(cut(new Uint8Array(0), 10).map(({ length }) => length), [0])
    assert.deepStrictEqual(cut(new Uint8Array(20), 10).map(({ length }) => length), [10, 10])
    assert.deepStrictEqual(cut(new Uint8Array(21), 10).map(({ length }) => length), [10, 10, 1])
  })
})
