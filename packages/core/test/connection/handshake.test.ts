import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { connack, memoryNetwork, type Peer } from "../../../../test/support/peers.ts"
import { beforeConnack, onAuth } from "../../src/internal/connection/handshake.ts"
import { type Auth, type Packet, pingreq } from "../../src/Packet.ts"
import { Transport } from "../../src/Transport.ts"
import { connect, openWith, publish } from "./client.ts"

const auth = (method: string, reasonCode = 0x18): Auth => ({
  _tag: "Auth",
  reasonCode,
  properties: { authenticationMethod: method }
})

const attempt = { protocolVersion: 5, clientId: "plant", server: "mqtt://localhost:1883" } as const
const plain = connect()
const scram = connect({ properties: { authenticationMethod: "SCRAM" } })

describe("the decision", () => {
  it("accepts a CONNACK with reason code 0, whatever its properties", () => {
    const packet = connack({ sessionPresent: true, properties: { receiveMaximum: 1, reasonString: "welcome" } })
    assert.deepStrictEqual(beforeConnack(packet, plain, attempt), { _tag: "Accepted", connack: packet })
  })

  it("refuses with the reason of every other reason code, and what the server says about it", () => {
    const reasons: ReadonlyArray<readonly [4 | 5, number, string]> = [
      [4, 1, "UnsupportedVersion"],
      [4, 2, "ClientIdentifierRejected"],
      [4, 3, "ConnectionRefused"],
      [4, 4, "BadCredentials"],
      [4, 5, "NotAuthorized"],
      [5, 0x80, "ConnectionRefused"],
      [5, 0x84, "UnsupportedVersion"],
      [5, 0x85, "ClientIdentifierRejected"],
      [5, 0x8c, "BadCredentials"],
      [5, 0x87, "NotAuthorized"],
      [5, 0x9c, "ServerMoved"],
      [5, 0x9d, "ServerMoved"]
    ]
    for (const [protocolVersion, reasonCode, tag] of reasons) {
      const step = beforeConnack(connack({ reasonCode }), plain, { ...attempt, protocolVersion })
      assert.strictEqual<unknown>(step._tag === "Refused" && step.reason._tag, tag)
    }
    const moved = connack({ reasonCode: 0x9c, properties: { serverReference: "b:1883", reasonString: "full" } })
    const step = beforeConnack(moved, plain, attempt)
    assert.deepInclude(step._tag === "Refused" ? step.reason : {}, { serverReference: "b:1883", reasonString: "full" })
  })

  it("takes every other packet before CONNACK as a protocol error", () => {
    const others: ReadonlyArray<Packet> = [
      publish(),
      pingreq,
      { _tag: "Disconnect", reasonCode: 0, properties: {} },
      { _tag: "Puback", packetIdentifier: 1, reasonCode: 0, properties: {} }
    ]
    for (const packet of others) {
      assert.deepStrictEqual(beforeConnack(packet, scram, attempt), {
        _tag: "Breach",
        reasonCode: 0x82,
        detail: `${packet._tag} before CONNACK`
      })
    }
  })

  it("takes an AUTH as a protocol error without a method in CONNECT, and with another method", () => {
    for (const exchange of ["connect", "renewal"] as const) {
      for (const reasonCode of [0, 0x18]) {
        for (
          const [packet, opened, detail] of [
            [auth("SCRAM", reasonCode), plain, /without an authentication method in CONNECT/],
            [auth("PLAIN", reasonCode), scram, /does not match/]
          ] as const
        ) {
          const step = onAuth(packet, opened, exchange)
          assert.deepInclude(step, { _tag: "Breach", reasonCode: 0x82 })
          assert.match(step._tag === "Breach" ? step.detail : "", detail)
        }
      }
    }
  })

  it("continues with the data of an AUTH of the same method, and accepts a renewal with one that says success", () => {
    const asked: Auth = {
      _tag: "Auth",
      reasonCode: 0x18,
      properties: { authenticationMethod: "SCRAM", authenticationData: new Uint8Array([7]) }
    }
    const next = { _tag: "Continue", data: new Uint8Array([7]) } as const
    assert.deepStrictEqual(beforeConnack(asked, scram, attempt), next)
    assert.deepStrictEqual(onAuth(asked, scram, "renewal"), next)
    assert.deepStrictEqual(onAuth(auth("SCRAM", 0), scram, "renewal"), { _tag: "Renewed", data: undefined })
    // A success may be empty (MQTT 3.15.2.1).
    assert.deepStrictEqual(
      onAuth({ _tag: "Auth", reasonCode: 0, properties: {} }, scram, "renewal"),
      { _tag: "Renewed", data: undefined }
    )
    assert.deepInclude(beforeConnack(auth("SCRAM", 0), scram, attempt), { _tag: "Breach" })
  })

  it("refuses a CONNACK that names another method, and takes one that names none", () => {
    assert.deepInclude(
      beforeConnack(connack({ properties: { authenticationMethod: "PLAIN" } }), scram, attempt),
      { _tag: "Breach", reasonCode: 0x82 }
    )
    assert.strictEqual(beforeConnack(connack(), scram, attempt)._tag, "Accepted")
  })
})

/** A network whose server answers CONNECT with these packets. */
const answering = (...packets: ReadonlyArray<Packet>) =>
  memoryNetwork((peer: Peer) => {
    Effect.runFork(Effect.map(peer.received("Connect"), () => peer.send(...packets)))
  })

const method = { connect: { properties: { authenticationMethod: "SCRAM", authenticationData: new Uint8Array([1]) } } }

const accepted = connack({ properties: { authenticationMethod: "SCRAM" } })

it.effect("sends nothing but AUTH and DISCONNECT before CONNACK when it authenticates by a method [MQTT5-3.1.2-30]", () =>
  Effect.gen(function*() {
    const network = answering(auth("SCRAM"))
    const error = yield* Effect.flip(
      openWith({ ...method, exchange: { data: undefined } }).pipe(Effect.provideService(Transport, network.transport))
    )
    assert.strictEqual(error.reason._tag, "CredentialsFailed")
    assert.match(error.message, /the server asks for more/)
    assert.deepStrictEqual(network.peers[0]!.packets.map((packet) => packet._tag), ["Connect", "Disconnect"])
    const asking = answering(auth("SCRAM"), connack())
    const answered = yield* Effect.forkChild(
      openWith({ ...method, exchange: { data: undefined, respond: () => Effect.never } }).pipe(
        Effect.provideService(Transport, asking.transport),
        Effect.flip
      )
    )
    // CONNACK before the answer.
    assert.strictEqual((yield* Fiber.join(answered)).reason._tag, "ProtocolViolation")
  }))

it.effect("opens with an authentication method when the server asks for no exchange", () =>
  Effect.gen(function*() {
    const network = answering(accepted)
    const { owner } = yield* openWith(method).pipe(Effect.provideService(Transport, network.transport))
    assert.deepStrictEqual(owner.packets.map((packet) => packet._tag), ["Connack"])
  }))

it.effect("takes an AUTH after CONNACK as a protocol error, unless it has begun to authenticate again", () =>
  Effect.gen(function*() {
    for (const exchange of [undefined, { data: undefined }]) {
      const network = answering(accepted)
      const { owner } = yield* openWith({ ...method, exchange }).pipe(
        Effect.provideService(Transport, network.transport)
      )
      const peer = network.peers[0]!
      peer.send(auth("SCRAM"))
      yield* peer.gone
      assert.deepStrictEqual(owner.closed.map((error) => error.reason._tag), ["ProtocolViolation"])
      assert.deepStrictEqual(peer.packets.map((packet) => packet._tag), ["Connect", "Disconnect"])
    }
  }))

it.effect("sends nothing to a server that has refused", () =>
  Effect.gen(function*() {
    const network = answering(connack({ reasonCode: 0x87 }))
    const error = yield* Effect.flip(openWith().pipe(Effect.provideService(Transport, network.transport)))
    assert.strictEqual(error.reason._tag, "NotAuthorized")
    assert.deepStrictEqual(network.peers[0]!.packets.map((packet) => packet._tag), ["Connect"])
    assert.isTrue(network.streams[0]!.destroyed)
  }))

it.effect("gives the server as long as the connect timeout says, by Effect's clock, and not a moment more", () =>
  Effect.gen(function*() {
    const network = memoryNetwork()
    const opening = yield* openWith({ connectTimeout: 3000 }).pipe(
      Effect.provideService(Transport, network.transport),
      Effect.flip,
      Effect.forkChild({ startImmediately: true })
    )
    yield* network.peers[0]!.received("Connect")
    yield* TestClock.adjust(2999)
    assert.isFalse(network.streams[0]!.destroyed)
    yield* TestClock.adjust(1)
    assert.deepInclude((yield* Fiber.join(opening)).reason, { _tag: "Timeout", operation: "connect", millis: 3000 })
    assert.isTrue(network.streams[0]!.destroyed)
  }))

it.effect("takes a CONNACK of 64 KiB, and no larger one", () =>
  Effect.gen(function*() {
    const sized = (length: number) => connack({ properties: { reasonString: "x".repeat(length) } })
    // Fixed header 4, flags and code 2, property length 3, identifier and length of the reason string 3.
    const fits = answering(sized(65_524))
    yield* openWith().pipe(Effect.provideService(Transport, fits.transport))
    const larger = answering(sized(65_525))
    const error = yield* Effect.flip(openWith().pipe(Effect.provideService(Transport, larger.transport)))
    assert.deepInclude(error.reason, { _tag: "ProtocolViolation", reasonCode: 0x95 })
  }))
