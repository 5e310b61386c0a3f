import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Result } from "effect"
import type { Packet } from "../../src/Packet.ts"
import * as Properties from "../../src/Properties.ts"
import * as ServerAddress from "../../src/ServerAddress.ts"
import { openWith, publish } from "./client.ts"

it.live.skipIf(!MosquittoBroker.isPresent())(
  "talks to mosquitto: subscribe, all levels of QoS, keep alive, disconnect [MQTT3-7.0.0-2]",
  () =>
    Effect.gen(function*() {
      const broker = yield* MosquittoBroker.make({ webSocket: true })
      for (const protocol of ["tcp", "ws"] as const) {
        const address = Result.getOrThrow(ServerAddress.parse(broker.urls[protocol]!))
        for (const protocolVersion of [4, 5] as const) {
          const { connection, owner } = yield* openWith({
            address,
            protocolVersion,
            connect: { clientId: `${protocol}${protocolVersion}`, keepAlive: 2 }
          })
          const topic = `${protocol}/${protocolVersion}`
          // A session in miniature: answers what arrives.
          owner.answer = (packets) => {
            const answers: Array<Packet> = []
            for (const packet of packets) {
              const acknowledge = (tag: "Puback" | "Pubrec" | "Pubrel" | "Pubcomp", packetIdentifier: number): void => {
                answers.push({ _tag: tag, packetIdentifier, reasonCode: 0, properties: Properties.none })
              }
              if (packet._tag === "Publish" && packet.qos > 0) {
                acknowledge(packet.qos === 1 ? "Puback" : "Pubrec", packet.packetIdentifier)
              } else if (packet._tag === "Pubrec") {
                acknowledge("Pubrel", packet.packetIdentifier)
              } else if (packet._tag === "Pubrel") {
                acknowledge("Pubcomp", packet.packetIdentifier)
              }
            }
            if (answers.length > 0) {
              connection.send(answers)
            }
            return undefined
          }
          connection.send([{
            _tag: "Subscribe",
            packetIdentifier: 1,
            filters: [{ filter: topic, qos: 2, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
            properties: Properties.none
          }])
          yield* owner.until(() => owner.packets.some((packet) => packet._tag === "Suback"))
          connection.send([0, 1, 2].map((qos) =>
            publish({
              topic,
              qos: qos as 0 | 1 | 2,
              packetIdentifier: qos === 0 ? 0 : 10 + qos,
              payload: new Uint8Array([qos])
            })
          ))
          yield* owner.until(() => owner.packets.filter((packet) => packet._tag === "Publish").length === 3)
          yield* owner.until(() => owner.packets.some((packet) => packet._tag === "Pubcomp"))
          assert.deepStrictEqual(
            owner.packets.filter((packet) => packet._tag === "Publish").map((
              packet
            ) => [packet.qos, packet.payload[0]]),
            [[0, 0], [1, 1], [2, 2]]
          )
          // Longer than mosquitto keeps a silent client of this keep alive.
          if (protocol === "tcp" && protocolVersion === 5) {
            yield* Effect.sleep("5 seconds")
          }
          assert.deepStrictEqual(owner.closed, [])
          yield* connection.close(0)
          assert.strictEqual((yield* Deferred.await(owner.ended)).reason._tag, "Closed")
        }
      }
    })
)
