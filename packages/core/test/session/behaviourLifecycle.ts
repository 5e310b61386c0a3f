import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as SessionOptions from "@effect-mqttx/core/SessionOptions"
import { assert } from "@effect/vitest"
import { ConfigProvider, Effect, Exit, Fiber, Layer, Option, Stream } from "effect"
import type { Define } from "./behaviour.ts"
import { event, fence, inbox, numbers, owned, reason, subscribe, texts } from "./behaviourWorld.ts"

export const lifecycle = (test: Define): void => {
  test("connects, becomes ready, and reports it in order", (world) =>
    Effect.gen(function*() {
      const session = yield* world.make()
      const events = yield* session.events.pipe(Stream.takeUntil(({ _tag }) => _tag === "Ready"), Stream.runCollect)
      assert.deepStrictEqual(events.map(({ _tag }) => _tag), [
        "StateChanged",
        "Connecting",
        "Connected",
        "StateChanged",
        "Ready"
      ])
      assert.isTrue(events.every((each) => each.session === session.name && each.at > 0))
      const status = yield* session.status
      assert.strictEqual(status.state, "connected")
      assert.isTrue(status.ready)
      assert.isUndefined(status.lastError)
      assert.isUndefined(status.failure)
    }))

  test("statusChanges begins with the status now and follows the session to its end", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      yield* link.close
      const session = yield* world.make({ servers: [link.address] })
      const states = yield* session.statusChanges.pipe(
        Stream.map(({ state }) => state),
        Stream.filter((state) => state !== "disconnected"),
        Stream.changes,
        Stream.takeUntil((state) => state === "closed"),
        Stream.runCollect,
        Effect.forkChild({ startImmediately: true })
      )
      yield* event(session, "Reconnecting")
      yield* link.open
      yield* session.awaitReady
      yield* session.drain
      assert.deepStrictEqual(yield* Fiber.join(states), ["connecting", "connected", "closed"])
    }))

  test("awaitReady succeeds again and again while the session is ready", (world) =>
    Effect.gen(function*() {
      const session = yield* world.make()
      yield* Effect.all([session.awaitReady, session.awaitReady], { concurrency: 2 })
      yield* session.awaitReady
    }))

  test("connectionInfo says what the server granted, and nothing without a connection", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      yield* link.close
      const clientId = `${world.unique}-info`
      const session = yield* world.make({ servers: [link.address], clientId, keepAlive: "33 seconds" })
      assert.isTrue(Option.isNone(yield* session.connectionInfo))
      yield* link.open
      yield* session.awaitReady
      const info = Option.getOrThrow(yield* session.connectionInfo)
      assert.strictEqual(info.server, link.printed)
      assert.strictEqual(info.clientId, clientId)
      assert.strictEqual(info.keepAlive, 33)
      assert.isFalse(info.sessionPresent)
      assert.strictEqual(info.maximumQoS, 2)
      assert.isAbove(info.receiveMaximum, 0)
      yield* session.drain
      assert.isTrue(Option.isNone(yield* session.connectionInfo))
    }))

  test("makes a client identifier of the session's name where none is given", (world) =>
    Effect.gen(function*() {
      const one = yield* world.session()
      const { clientId } = yield* one.status
      assert.include(clientId, one.name)
    }))

  test("one program may have sessions of several tags", (world) =>
    Effect.gen(function*() {
      class Plant extends MqttSession.Service<Plant>()(`plant-${world.unique}`) {}
      class Cloud extends MqttSession.Service<Cloud>()(`cloud-${world.unique}`) {}
      const { name: _name, ...options } = world.options()
      const program = Effect.gen(function*() {
        const plant = yield* Plant
        const cloud = yield* Cloud
        assert.strictEqual(plant.name, `plant-${world.unique}`)
        const messages = yield* subscribe(cloud, world.topic("t"), { qos: 1 })
        yield* plant.publish(world.topic("t"), "from the plant", { qos: 1 })
        const message = yield* messages.next
        assert.strictEqual(message.text, "from the plant")
        assert.strictEqual(message.session, cloud.name)
      })
      yield* world.onNetwork(Effect.provide(program, Layer.mergeAll(Plant.layer(options), Cloud.layer(options))))
    }))

  test("layerConfig takes the options from Config", (world) =>
    Effect.gen(function*() {
      const { name: _name, servers: _servers, ...options } = world.options()
      const env = { MQTT_NAME: `${world.unique}-config`, MQTT_SERVERS: world.server.address }
      const program = Effect.gen(function*() {
        const session = yield* MqttSession.MqttSession
        yield* session.awaitReady
        assert.strictEqual(session.name, env.MQTT_NAME)
      })
      yield* world.onNetwork(program.pipe(
        Effect.provide(MqttSession.layerConfig(SessionOptions.config("MQTT", options))),
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
      ))
    }))

  test("invalid options are refused with every issue", (world) =>
    Effect.gen(function*() {
      const { issues } = yield* reason(
        world.make({ servers: ["gopher://localhost"], keepAlive: "-1 seconds", streamBuffer: 0 }),
        "InvalidOptions"
      )
      const paths = issues.map(({ path }) => path.split(".")[0])
      assert.includeMembers(paths, ["servers", "keepAlive", "streamBuffer"])
    }))

  test("metrics count messages, bytes and connections", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const messages = yield* subscribe(session, world.topic("t"), { qos: 1 })
      yield* session.publish(world.topic("t"), "0")
      yield* session.publish(world.topic("t"), "1", { qos: 1 })
      yield* messages.take(2)
      const metrics = yield* session.metrics
      assert.strictEqual(metrics.messagesSent, 2)
      assert.strictEqual(metrics.messagesReceived, 2)
      assert.strictEqual(metrics.connections, 1)
      assert.strictEqual(metrics.reconnects, 0)
      assert.strictEqual(metrics.subscriptions, 1)
      assert.strictEqual(metrics.queuedMessages, 0)
      assert.isAbove(metrics.bytesSent, 20)
      assert.isAbove(metrics.bytesReceived, 20)
    }))

  test("drain finishes what was accepted", (world) =>
    Effect.gen(function*() {
      const receiver = yield* world.session()
      const received = yield* subscribe(receiver, world.topic("t"), { qos: 2 })
      const session = yield* world.session({ maxInflight: 5 })
      const receipts = yield* Effect.forEach(numbers(1, 50), (n) => session.enqueue(world.topic("t"), n, { qos: 2 }))
      yield* session.drain
      yield* Effect.forEach(receipts, ({ acknowledged }) => acknowledged)
      assert.deepStrictEqual(texts(yield* received.take(50)), numbers(1, 50))
    }))

  test("drain ends the streams when they have delivered their buffers", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const witness = yield* subscribe(session, world.topic("t"), { qos: 1 })
      const { messages } = yield* session.subscription(world.topic("t"), { qos: 1 })
      for (const n of numbers(1, 5)) yield* session.publish(world.topic("t"), n, { qos: 1 })
      yield* witness.take(5)
      const draining = yield* Effect.forkChild(session.drain, { startImmediately: true })
      assert.deepStrictEqual(texts(yield* Stream.runCollect(messages)), numbers(1, 5))
      yield* Fiber.join(draining)
      assert.deepStrictEqual(yield* witness.rest, [])
      assert.strictEqual((yield* session.status).state, "closed")
    }))

  test("a drained session refuses everything with Closed, and drains again at once", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      yield* session.drain
      yield* session.drain
      yield* reason(session.publish(world.topic("t"), "late", { qos: 1 }), "Closed")
      yield* reason(session.enqueue(world.topic("t"), "late"), "Closed")
      yield* reason(session.subscription(world.topic("t")), "Closed")
      yield* reason(session.awaitReady, "Closed")
    }))

  test("drain without a connection ends in its time and settles what was accepted with Closed", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      yield* link.close
      const session = yield* world.make({ servers: [link.address], drainTimeout: "100 millis" })
      const publishing = yield* Effect.forkChild(
        session.publish(world.topic("t"), "never sent", { qos: 1 }),
        { startImmediately: true }
      )
      const receipt = yield* session.enqueue(world.topic("t"), "never sent either", { qos: 1 })
      yield* session.drain
      yield* reason(Fiber.join(publishing), "Closed")
      yield* reason(receipt.acknowledged, "Closed")
    }))

  test("the end of the scope leaves no socket and no subscription", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      const topic = world.topic("t")
      const { end, value: session } = yield* owned(world.session({ servers: [link.address] }))
      yield* Effect.forkScoped(Stream.runDrain(session.subscribe(topic, { qos: 1 })), { startImmediately: true })
      yield* fence(session)
      assert.isTrue(yield* world.isSubscribed(topic))
      yield* end
      yield* link.idle
      assert.strictEqual((yield* session.status).state, "closed")
      assert.isFalse(yield* world.isSubscribed(topic))
    }))

  test("interrupting a session that cannot connect ends it at once", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      yield* link.close
      const { end, value: session } = yield* owned(world.make({ servers: [link.address] }))
      const waiting = yield* Effect.forkChild(session.awaitReady, { startImmediately: true })
      yield* event(session, "Reconnecting")
      yield* end
      yield* reason(Fiber.join(waiting), "Closed")
      yield* link.idle
    }))

  test("sends the will when the connection is cut", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      const watcher = yield* world.session()
      const wills = yield* subscribe(watcher, world.topic("will"), { qos: 1 })
      yield* world.session({
        servers: [link.address],
        will: { topic: world.topic("will"), payload: "gone", qos: 1 }
      })
      yield* link.close
      const will = yield* wills.next
      assert.strictEqual(will.text, "gone")
      assert.strictEqual(will.qos, 1)
    }))

  test("a retained will with properties arrives as it was given", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      const watcher = yield* world.session()
      const wills = yield* subscribe(watcher, world.topic("will"), { qos: 1 })
      yield* world.session({
        servers: [link.address],
        will: {
          topic: world.topic("will"),
          payload: new Uint8Array([0, 255]),
          qos: 1,
          retain: true,
          properties: { contentType: "application/x-will", userProperties: [["a", "1"], ["a", "2"]] }
        }
      })
      yield* link.close
      const will = yield* wills.next
      assert.deepStrictEqual(Array.from(will.payload), [0, 255])
      assert.strictEqual(will.properties.contentType, "application/x-will")
      assert.deepStrictEqual(will.properties.userProperties, [["a", "1"], ["a", "2"]])
      const late = yield* subscribe(watcher, world.topic("+"), { qos: 1 })
      assert.isTrue((yield* late.next).retain)
    }))

  test("sends no will when the session ends in an orderly way", (world) =>
    Effect.gen(function*() {
      const watcher = yield* world.session()
      const wills = yield* subscribe(watcher, world.topic("will"), { qos: 1 })
      const session = yield* world.session({ will: { topic: world.topic("will"), payload: "gone", qos: 1 } })
      yield* session.drain
      yield* watcher.publish(world.topic("will"), "end", { qos: 1 })
      assert.deepStrictEqual(yield* wills.until("end"), [])
    }))

  test("wrong credentials fail awaitReady and operations, and are not tried again soon", (world) =>
    Effect.gen(function*() {
      const session = yield* world.make({ username: world.server.user.username, password: "wrong" })
      yield* reason(session.awaitReady, "BadCredentials", "NotAuthorized")
      yield* reason(session.publish(world.topic("t"), "x", { qos: 1 }), "BadCredentials", "NotAuthorized")
      yield* reason(session.subscription(world.topic("t")), "BadCredentials", "NotAuthorized")
      const { delay } = yield* event(session, "Reconnecting")
      assert.isAtLeast(delay, 60_000)
    }))

  test("right credentials are accepted, in options and in the address", (world) =>
    Effect.gen(function*() {
      const { password, username } = world.server.user
      yield* world.session({ username, password })
      const address = world.server.address.replace("://", `://${username}:${encodeURIComponent(password)}@`)
      const session = yield* world.session({ servers: [address] })
      const { server } = yield* session.status
      assert.notInclude(String(server), password)
    }))

  test("a permanent failure stops the session where the options say so", (world) =>
    Effect.gen(function*() {
      const session = yield* world.make({
        username: world.server.user.username,
        password: "wrong",
        reconnect: { onPermanentFailure: "stop" }
      })
      yield* reason(session.awaitReady, "BadCredentials", "NotAuthorized")
      const status = yield* session.status
      assert.strictEqual(status.state, "disconnected")
      assert.isDefined(status.failure)
    }))

  test("a session that is taken over does not take its client identifier back at once", (world) =>
    Effect.gen(function*() {
      const clientId = `${world.unique}-taken`
      const first = yield* world.session({ clientId })
      const second = yield* world.session({ clientId })
      const { delay, error } = yield* event(first, "Reconnecting")
      assert.strictEqual(error.reason._tag, "SessionTakenOver")
      assert.isAtLeast(delay, 60_000)
      yield* reason(first.awaitReady, "SessionTakenOver")
      yield* reason(first.publish(world.topic("t"), "x", { qos: 1 }), "SessionTakenOver")
      yield* second.publish(world.topic("t"), "mine", { qos: 1 })
      assert.strictEqual((yield* second.metrics).connections, 1)
    }))

  test("a stream of a session that is closed ends without an error", (world) =>
    Effect.gen(function*() {
      const { end, value: session } = yield* owned(world.session())
      const { messages } = yield* session.subscription(world.topic("t"))
      const running = yield* Effect.forkChild(Stream.runDrain(messages), { startImmediately: true })
      yield* end
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(running)))
      yield* inbox(messages)
    }))
}
