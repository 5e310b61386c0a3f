import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { encode } from "../../src/internal/codec/encoder.ts"
import * as Driver from "../../src/internal/connection/driver.ts"
import type { Auth, Packet } from "../../src/Packet.ts"
import type { ProtocolVersion } from "../../src/QoS.ts"
import { Transport } from "../../src/Transport.ts"
import { openWith } from "./client.ts"
import { connack, memoryNetwork } from "./peer.ts"

const turn = Effect.callback<void>((resume) => {
  setImmediate(() => setImmediate(() => resume(Effect.void)))
})

const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length

const start = (protocolVersion: ProtocolVersion = 5, authenticationMethod?: string) => {
  const bytes: Array<Uint8Array> = []
  const failures: Array<string> = []
  const told = { packets: 0, ends: 0 }
  const driver = Driver.make({ protocolVersion, authenticationMethod }, {
    onBytes: (chunk) => bytes.push(chunk.slice()),
    onPacket: () => told.packets++,
    onEnd: () => told.ends++,
    onFailure: (error) => failures.push(error.message)
  })
  const feed = (packet: Packet) => driver.feed(encode(packet, protocolVersion))
  return { driver, feed, failures, told, written: () => [...Buffer.concat(bytes)] }
}

const auth = (method: string): Auth => ({
  _tag: "Auth",
  reasonCode: 0x18,
  properties: { authenticationMethod: method }
})

it("holds back the CONNECT of MQTT.js, and knows at once that a CONNACK accepts", () => {
  for (const version of [4, 5] as const) {
    const { driver, failures, feed, told, written } = start(version)
    assert.deepStrictEqual(written(), [])
    assert.isFalse(driver.isConnected())
    feed(connack())
    assert.isTrue(driver.isConnected())
    assert.deepStrictEqual([told.packets, failures], [0, []])
    driver.closed()
    assert.isFalse(driver.isConnected())
  }
})

it.live("has no timer left after a CONNACK, nor after the end without one", () =>
  Effect.gen(function*() {
    const before = timers()
    const accepted = start()
    const refused = start()
    const lost = start()
    assert.strictEqual(timers(), before + 3)
    accepted.feed(connack({ properties: { serverKeepAlive: 1 } }))
    refused.feed(connack({ reasonCode: 0x87 }))
    lost.driver.closed()
    assert.strictEqual(timers(), before)
    yield* turn
    accepted.driver.closed()
    refused.driver.closed()
    yield* turn
    // The test runner's own timers come and go.
    assert.isAtMost(timers(), before)
    assert.strictEqual(refused.failures.length, 1)
    assert.deepStrictEqual([accepted.failures, lost.failures], [[], []])
  }))

it("tells nothing any more once the stream is closed", () => {
  const { driver, failures, feed, told, written } = start()
  driver.closed()
  driver.closed()
  feed(connack({ reasonCode: 0x87 }))
  assert.deepStrictEqual([written(), failures, told.ends], [[], [], 0])
})

it("reports what MQTT.js objects to as a failure, never as an exception", () => {
  const second = start()
  second.feed(connack())
  second.feed(connack())
  assert.match(second.failures.join(), /duplicate CONNACK/)
  const uninvited = start()
  uninvited.feed(auth("SCRAM"))
  assert.match(uninvited.failures.join(), /not requested/)
  const other = start(5, "SCRAM")
  other.feed(auth("PLAIN"))
  assert.match(other.failures.join(), /does not match/)
  for (const { driver } of [second, uninvited, other]) {
    driver.closed()
  }
})

it.effect("sends nothing but AUTH and DISCONNECT before CONNACK when it authenticates by a method [MQTT5-3.1.2-30]", () =>
  Effect.gen(function*() {
    const network = memoryNetwork((peer) => {
      Effect.runFork(Effect.map(peer.received("Connect"), () => peer.send(auth("SCRAM"))))
    })
    const properties = { authenticationMethod: "SCRAM", authenticationData: new Uint8Array([1]) }
    const error = yield* Effect.flip(
      openWith({ connect: { properties } }).pipe(Effect.provideService(Transport, network.transport))
    )
    // Until enhanced authentication is there, a challenge is the end.
    assert.strictEqual(error.reason._tag, "ProtocolViolation")
    assert.match(error.message, /enhanced authentication/)
    assert.deepStrictEqual(network.peers[0]!.packets.map((packet) => packet._tag), ["Connect", "Disconnect"])
  }))

it.effect("opens with an authentication method when the server asks for no exchange", () =>
  Effect.gen(function*() {
    const network = memoryNetwork((peer) => {
      Effect.runFork(
        Effect.map(
          peer.received("Connect"),
          () => peer.send(connack({ properties: { authenticationMethod: "SCRAM" } }))
        )
      )
    })
    const { owner } = yield* openWith({ connect: { properties: { authenticationMethod: "SCRAM" } } }).pipe(
      Effect.provideService(Transport, network.transport)
    )
    assert.deepStrictEqual(owner.packets.map((packet) => packet._tag), ["Connack"])
  }))

it.effect("keeps MQTT.js after CONNACK for an authentication method, to judge what the server asks later", () =>
  Effect.gen(function*() {
    const network = memoryNetwork((peer) => {
      Effect.runFork(
        Effect.map(
          peer.received("Connect"),
          () => peer.send(connack({ properties: { authenticationMethod: "SCRAM" } }))
        )
      )
    })
    const { owner } = yield* openWith({ connect: { properties: { authenticationMethod: "SCRAM" } } }).pipe(
      Effect.provideService(Transport, network.transport)
    )
    network.peers[0]!.send(auth("PLAIN"))
    yield* network.peers[0]!.gone
    assert.deepStrictEqual(owner.closed.map((error) => error.reason._tag), ["ProtocolViolation"])
    assert.match(owner.closed[0]!.message, /does not match/)
  }))
