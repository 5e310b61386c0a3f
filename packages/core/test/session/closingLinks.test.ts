/**
 * QoS 0 while connections end: what was reported as sent has left, the rest goes out by the next connection, and
 * nothing twice.
 */
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as Certificates from "@effect-mqttx/testing/Certificates"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { accepting, listen, type ListenOptions, type Peer } from "../../../../test/support/peers.ts"
import { within } from "../../../../test/support/within.ts"
import { impatient } from "./support.ts"

const certificates = await Effect.runPromise(Certificates.make)

const networks: ReadonlyArray<ListenOptions & { readonly protocol: "tcp" | "tls" | "ws" | "wss" }> = [
  { protocol: "tcp", halfOpen: true },
  { protocol: "tls", tls: certificates.server },
  { protocol: "ws" },
  { protocol: "wss", tls: certificates.server }
]

const schemes = { tcp: "mqtt", tls: "mqtts", ws: "ws", wss: "wss" }

const count = 1000
/** So many messages a connection sees before the server ends it; the last one stays. */
const each = 90
const endings = 8

const topicsOf = (peer: Peer): ReadonlyArray<string> =>
  peer.packets.flatMap((packet) => packet._tag === "Publish" ? [packet.topic] : [])

/** The server goes on reading until the client has ended too, so that it sees all that has left. */
const ways: Record<string, (peer: Peer) => void> = {
  "ends its half": (peer) => peer.end(),
  "sends a malformed packet": (peer) => peer.sendBytes([0x00, 0x00]),
  "sends a malformed packet and ends its half": (peer) => {
    peer.sendBytes([0x00, 0x00])
    peer.end()
  }
}

describe.each([4, 5] as const)("version %s", (version) => {
  describe.each(networks)("over $protocol", (options) => {
    for (const [way, end] of Object.entries(ways)) {
      it.live(
        `every QoS 0 message arrives exactly once when the server ${way} again and again`,
        () =>
          Effect.gen(function*() {
            let connections = 0
            const listener = yield* listen({
              ...options,
              serve: (peer) =>
                Effect.gen(function*() {
                  const index = connections++
                  yield* accepting()(peer)
                  yield* peer.until(() => peer.ended || index < endings && topicsOf(peer).length >= each)
                  if (!peer.ended) end(peer)
                  yield* peer.until(() => peer.ended)
                  peer.end()
                })
            })
            const { port } = listener.address
            const session = yield* MqttSession.make({
              name: `closing-${version}-${options.protocol}`,
              servers: [`${schemes[options.protocol]}://localhost:${port}`],
              protocolVersion: version,
              keepAlive: 0,
              reconnect: impatient,
              tls: options.tls === undefined ? undefined : { ca: certificates.ca },
              webSocket: { path: "/mqtt" }
            })
            yield* session.awaitReady
            const reported: Array<string> = []
            yield* Effect.forEach(
              Array.from({ length: count }, (_, index) => `t/${index}`),
              // A turn between two messages of a publisher, because publishing alone takes none.
              (topic) =>
                session.publish(topic, "x").pipe(
                  Effect.andThen(Effect.sync(() => reported.push(topic))),
                  Effect.andThen(Effect.yieldNow)
                ),
              { concurrency: 20, discard: true }
            )
            yield* session.drain
            for (const peer of listener.peers) yield* within(5000)(peer.gone)
            assert.lengthOf(reported, count)
            const arrived = listener.peers.flatMap(topicsOf)
            assert.lengthOf(arrived, new Set(arrived).size, "nothing twice")
            assert.sameMembers(arrived, reported)
            assert.isAbove(listener.peers.length, 5)
          }),
        180_000
      )
    }
  })
})
