import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { accepting, memoryNetwork } from "../../../../test/support/peers.ts"
import { encode } from "../../src/internal/codec/encoder.ts"
import type { Connect } from "../../src/Packet.ts"
import type { ProtocolVersion } from "../../src/QoS.ts"
import { Transport } from "../../src/Transport.ts"
import { connect, openWith } from "./client.ts"

const bytes = (...values: ReadonlyArray<number>): Uint8Array => Uint8Array.from(values)

const properties: Connect["properties"] = {
  sessionExpiryInterval: 3600,
  receiveMaximum: 20,
  maximumPacketSize: 65_536,
  topicAliasMaximum: 10,
  requestResponseInformation: true,
  requestProblemInformation: false,
  // The order and the second "b" are part of the meaning (MQTT 3.1.2.11.8).
  userProperties: [["b", "1"], ["a", "2"], ["b", "3"], ["2", "x"], ["1", "y"]]
}

const cases: ReadonlyArray<readonly [string, ProtocolVersion, Partial<Connect>]> = [
  ["the least of 3.1.1", 4, { keepAlive: 0 }],
  ["the least of 5", 5, { keepAlive: 0 }],
  ["an empty client identifier with a clean session", 4, { clientId: "" }],
  ["an empty client identifier without Clean Start", 5, { clientId: "", cleanStart: false }],
  ["a user name and a binary password", 4, { username: "user", password: bytes(0, 255, 128, 10) }],
  ["a user name alone", 5, { username: "user" }],
  ["a password alone", 5, { password: bytes(0, 255) }],
  ["an empty user name and an empty password", 5, { username: "", password: bytes() }],
  ["all properties, with the order and the duplicates of user properties", 5, { properties }],
  ["a will", 4, {
    will: { topic: "état/💡", payload: bytes(1, 0, 2), qos: 2, retain: true, properties: {} }
  }],
  ["a will with all properties", 5, {
    properties,
    will: {
      topic: "gone",
      payload: bytes(),
      qos: 1,
      retain: false,
      properties: {
        willDelayInterval: 5,
        payloadFormatIndicator: 1,
        messageExpiryInterval: 60,
        contentType: "text/plain",
        responseTopic: "answer",
        correlationData: bytes(0, 1, 2),
        userProperties: [["z", ""], ["a", "1"], ["z", ""]]
      }
    }
  }]
]

for (const [title, protocolVersion, fields] of cases) {
  it.effect(`sends exactly the CONNECT of the request: ${title}`, () =>
    Effect.gen(function*() {
      const network = memoryNetwork((peer) => {
        // A server of MQTT 5 names a client that has no identifier [MQTT5-3.2.2-16].
        const isUnnamed = protocolVersion === 5 && fields.clientId === ""
        Effect.runFork(accepting(isUnnamed ? { properties: { assignedClientIdentifier: "assigned" } } : {})(peer))
      })
      yield* openWith({ protocolVersion, connect: fields }).pipe(Effect.provideService(Transport, network.transport))
      const { written } = network.streams[0]!
      assert.deepStrictEqual(written, [encode(connect({ protocolVersion, ...fields }), protocolVersion)])
      assert.deepStrictEqual(network.peers[0]!.packets, [connect({ protocolVersion, ...fields })])
    }))
}
