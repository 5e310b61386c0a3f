import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as ServerAddress from "@effect-mqttx/core/ServerAddress"
import type * as SessionOptions from "@effect-mqttx/core/SessionOptions"
import * as Certificates from "@effect-mqttx/testing/Certificates"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Result, Scope } from "effect"
import {
  accepting,
  connack,
  listen,
  type Listener,
  type ListenOptions,
  type Peer
} from "../../../../test/support/peers.ts"
import { readServerReference } from "../../src/internal/session/serverReference.ts"
import { eventsOf, impatient, nextEvent, reasonOf } from "./support.ts"

const certificates = await Effect.runPromise(Certificates.make)

const useAnother = 0x9c
const moved = 0x9d

/** A server that answers every CONNECT by sending the client elsewhere. */
const refusing = (reasonCode: number, serverReference?: string, options?: ListenOptions) =>
  listen({
    ...options,
    serve: (peer) =>
      Effect.map(peer.received("Connect"), () => {
        peer.send(connack({ reasonCode, properties: serverReference === undefined ? {} : { serverReference } }))
        peer.end()
      })
  })

/** A server that accepts, and sends the client elsewhere with DISCONNECT when it gets a message. */
const dismissing = (reasonCode: number, serverReference: () => string) =>
  listen({
    serve: (peer) =>
      Effect.gen(function*() {
        yield* peer.received("Connect")
        peer.send(connack())
        yield* peer.received("Publish")
        peer.send({ _tag: "Disconnect", reasonCode, properties: { serverReference: serverReference() } })
        peer.end()
      })
  })

/** A server that accepts and acknowledges. */
const acknowledging = listen({
  serve: (peer) =>
    Effect.gen(function*() {
      yield* peer.received("Connect")
      peer.send(connack())
      const { packetIdentifier } = yield* peer.received("Publish")
      peer.send({ _tag: "Puback", packetIdentifier, reasonCode: 0, properties: {} })
    })
})

const place = ({ address }: Listener): string => `${address.host}:${address.port}`
const url = ({ address }: Listener): string => ServerAddress.format(address)

let sessions = 0

const connect = (servers: ReadonlyArray<Listener>, options: Partial<SessionOptions.SessionOptionsInput<never>> = {}) =>
  MqttSession.make({ name: `moved-${++sessions}`, servers: servers.map(url), reconnect: impatient, ...options })

const open = (peer: Peer): Effect.Effect<void> => Effect.asVoid(peer.received("Connect"))

describe("a server that sends the session elsewhere", () => {
  it.live("when it answers CONNECT is followed at once, to the first place that accepts", () =>
    Effect.gen(function*() {
      for (const reasonCode of [useAnother, moved]) {
        const home = yield* listen({ serve: accepting() })
        const dead = place(yield* Effect.scoped(listen()))
        const entrance = yield* refusing(reasonCode, `${dead} ${place(home)}`)
        const session = yield* connect([entrance], { reconnect: { initialDelay: "1 hour", maxDelay: "1 hour" } })
        yield* session.awaitReady
        const status = yield* session.status
        assert.strictEqual(status.server, url(home))
        assert.isUndefined(status.lastError)
        assert.lengthOf(entrance.peers, 1)
      }
    }))

  it.live("on an open connection is followed at once, and callers wait", () =>
    Effect.gen(function*() {
      for (const reasonCode of [useAnother, moved]) {
        const home = yield* acknowledging
        const entrance = yield* dismissing(reasonCode, () => place(home))
        const session = yield* connect([entrance], {
          reconnect: { initialDelay: "1 hour", maxDelay: "1 hour", onPermanentFailure: "stop" }
        })
        const events = yield* eventsOf(session)
        yield* session.publish("a", "b", { qos: 1 })
        assert.strictEqual((yield* session.status).server, url(home))
        const { delay } = yield* nextEvent(events, "Reconnecting")
        assert.strictEqual(delay, 0)
      }
    }))

  it.live("for now is asked again at the next connect, and one that has moved is not", () =>
    Effect.gen(function*() {
      for (const [reasonCode, asked] of [[useAnother, 2], [moved, 1]] as const) {
        const home = yield* listen({ serve: accepting() })
        const entrance = yield* refusing(reasonCode, place(home))
        const session = yield* connect([entrance])
        yield* session.awaitReady
        const first = yield* home.peer()
        first.destroy()
        yield* open(yield* home.peer(1))
        yield* session.awaitReady
        assert.lengthOf(entrance.peers, asked)
      }
    }))

  it.live("is the last resort when it has moved, and the place that it named is gone", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const home = yield* Scope.provide(listen({ serve: accepting() }), scope)
      let answers = 0
      const entrance = yield* listen({
        serve: (peer) =>
          Effect.map(peer.received("Connect"), () => {
            const isFirst = answers++ === 0
            peer.send(connack(isFirst ? { reasonCode: moved, properties: { serverReference: place(home) } } : {}))
            if (isFirst) peer.end()
          })
      })
      const session = yield* connect([entrance])
      yield* open(yield* home.peer())
      yield* Scope.close(scope, Exit.void)
      yield* open(yield* entrance.peer(1))
      yield* session.awaitReady
      assert.strictEqual((yield* session.status).server, url(entrance))
    }))

  it.live("is not followed further than the option allows, and the reconnect policy applies again", () =>
    Effect.gen(function*() {
      const there: { place: string } = { place: "" }
      const a = yield* dismissing(useAnother, () => there.place)
      there.place = place(a)
      const session = yield* connect([a], {
        redirects: 2,
        reconnect: { initialDelay: "1 hour", maxDelay: "1 hour" }
      })
      const events = yield* eventsOf(session)
      yield* Effect.forkScoped(session.publish("a", "b", { qos: 1 }))
      yield* (yield* a.peer(2)).gone
      const { error } = yield* Effect.repeat(nextEvent(events, "Reconnecting"), { until: ({ delay }) => delay > 0 })
      const { reason } = error
      assert.deepInclude(reason, { _tag: "ServerMoved", notFollowed: "more than 2 redirects in a row" })
      assert.lengthOf(a.peers, 3)
    }))

  it.live("is not followed with redirects: 0, nor without a reference, nor to a place that the options do not allow", () =>
    Effect.gen(function*() {
      const home = yield* listen({ serve: accepting() })
      const secure: ListenOptions = { protocol: "tls", tls: certificates.server }
      const cases: ReadonlyArray<readonly [Effect.Effect<Listener, never, Scope.Scope>, object, RegExp]> = [
        [refusing(moved, place(home)), { redirects: 0 }, /redirects are refused/],
        [refusing(moved), {}, /names no other one/],
        [refusing(moved, "b://c"), {}, /the server reference is not valid/],
        [refusing(moved, `mqtt://${place(home)}`, secure), { tls: { ca: certificates.ca } }, /does not use TLS/],
        [refusing(moved, "mqtts://localhost:1"), {}, /the other server uses TLS/],
        [refusing(moved, "mqtt+unix:///run/x"), {}, /Unix socket/]
      ]
      for (const [make, options, message] of cases) {
        const session = yield* connect([yield* make], options)
        const reason = yield* reasonOf(session.awaitReady)
        assert.strictEqual(reason._tag, "ServerMoved")
        assert.match(reason.message, message)
      }
      assert.lengthOf(home.peers, 0)
    }))
})

describe("a session at another server than the preferred one", () => {
  it.live("returns after the time of the option, when that one can be reached again, and loses nothing", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const first = yield* Scope.provide(listen(), scope)
      const { port } = first.address
      yield* Scope.close(scope, Exit.void)
      const second = yield* acknowledging
      const session = yield* connect([first, second], {
        reconnect: { initialDelay: "1 hour", maxDelay: "1 hour", returnAfter: "200 millis" }
      })
      const events = yield* eventsOf(session)
      yield* session.awaitReady
      assert.strictEqual((yield* session.status).server, url(second))
      // It looks in vain at first, and stays.
      yield* Effect.sleep(500)
      assert.strictEqual((yield* session.status).server, url(second))
      yield* session.publish("a", "b", { qos: 1 })
      const again = yield* listen({ port, serve: accepting() })
      const { error } = yield* nextEvent(events, "Disconnected")
      assert.strictEqual(error?.reason._tag, "ConnectionLost")
      yield* Effect.repeat(nextEvent(events, "Connected"), { until: ({ server }) => server === url(again) })
      yield* session.awaitReady
      // The server was told that the connection ends.
      assert.strictEqual((yield* second.peer()).packets.at(-1)?._tag, "Disconnect")
      // At the preferred one it stays.
      yield* Effect.sleep(500)
      assert.lengthOf(again.peers.filter(({ packets }) => packets.length > 0), 1)
    }))

  it.live("stays without the option", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const first = yield* Scope.provide(listen(), scope)
      yield* Scope.close(scope, Exit.void)
      const second = yield* listen({ serve: accepting() })
      const session = yield* connect([first, second])
      yield* session.awaitReady
      const again = yield* listen({ port: first.address.port })
      yield* Effect.sleep(300)
      assert.lengthOf(again.peers, 0)
    }))
})

describe("a server reference", () => {
  const read = (reference: string, from: string) => {
    const targets = readServerReference(reference, Result.getOrThrow(ServerAddress.parse(from)))
    return typeof targets === "string" ? targets : targets.map(ServerAddress.format)
  }

  it.each([
    ["b", "mqtt://a:5", ["mqtt://b:1883"]],
    ["b:7 c", "mqtts://a:5", ["mqtts://b:7", "mqtts://c:8883"]],
    ["10.10.151.22:8883 [fe80::9610:3eff:fe1c]:1883", "mqtt://a", [
      "mqtt://10.10.151.22:8883",
      "mqtt://[fe80::9610:3eff:fe1c]:1883"
    ]],
    ["b", "wss://a/mqtt", ["wss://b:443/mqtt"]],
    ["mqtts://b", "wss://a/mqtt", ["mqtts://b:8883"]],
    ["wss://b/own", "wss://a/mqtt", ["wss://b:443/own"]],
    ["mqtt://b c", "mqtts://a", ["mqtts://c:8883"]],
    ["ws://b", "wss://a", "the other server does not use TLS, and this one does"],
    ["b/c", "mqtt://a", "the server reference is not valid"],
    ["", "mqtt://a", "the server names no other one"]
  ])("%j of %s: %j", (reference, from, expected) => {
    assert.deepStrictEqual(read(reference, from), expected)
  })

  it("takes no credentials, and no query of the server that gave it", () => {
    const from = Result.getOrThrow(ServerAddress.parse("wss://me:secret@a/mqtt?token=secret"))
    const targets = readServerReference("wss://you:other@b/x c", from)
    if (typeof targets === "string") return assert.fail(targets)
    for (const { password, query, username } of targets) {
      assert.deepStrictEqual([username, password, query], [undefined, undefined, undefined])
    }
  })
})
