/**
 * No secret is ever seen outside: not in logs, errors, events, states, figures, on the page, in spans or in printed
 * options.
 */
import * as SessionManager from "@effect-mqttx/core/SessionManager"
import * as Transport from "@effect-mqttx/core/Transport"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { inspect } from "node:util"
import { logOf } from "../../../test/support/managers.ts"
import { accepting, listen } from "../../../test/support/peers.ts"
import { makeBroker } from "../../../test/support/sessions.ts"
import { makeWitness, type Witness } from "./witness.ts"

/** Everything that is secret here has this in it. */
const mark = "hunter2"

const impatient = { initialDelay: "1 millis", maxDelay: "1 millis", factor: 1, jitter: "none" } as const

const searched = Effect.fnUntraced(function*(witness: Witness, least: number) {
  const seen = yield* witness.seen
  assert.isAbove(seen.length, least)
  for (const [where, text] of seen) assert.notInclude(text, mark, where)
})

describe("secrets are never seen", () => {
  it.live("of a session with a password, a key, a will, headers, and queries in its addresses, whatever happens to it", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory", { users: { me: mark } })
      const witness = makeWitness()
      const addresses: Array<string> = []
      const transport: Transport.Transport = {
        open: (request, handlers) => {
          addresses.push(inspect(request, { depth: 9 }) + JSON.stringify(request))
          return broker.transport.open(request, handlers)
        }
      }
      yield* Effect.gen(function*() {
        const manager = yield* SessionManager.make()
        yield* witness.watch(manager)
        const log = yield* logOf(manager)
        const session = yield* manager.add({
          name: "plant",
          clientId: "plant",
          servers: [`wss://me:${mark}@broker.test/mqtt?token=${mark}`, `wss://standby.test/mqtt?a=1&sig=${mark}`],
          webSocket: { headers: { authorization: `Bearer ${mark}` }, path: `/never?token=${mark}` },
          tls: { insecureSkipVerify: true, key: mark, cert: "certificate", passphrase: mark },
          will: { topic: "will", payload: mark },
          reconnect: impatient,
          queue: { messages: 1, policy: "dropOldest" }
        })
        yield* session.awaitReady
        // In code, too: options get printed.
        for (const options of [session.options, yield* manager.options("plant")]) {
          witness.note("options", inspect(options, { depth: 12 }) + JSON.stringify(options))
        }
        witness.note("connection info", inspect(yield* session.connectionInfo, { depth: 12 }))
        yield* session.publish("t", mark, { qos: 1 })
        yield* broker.refusePublish("refused", 0x87)
        witness.error(yield* Effect.flip(session.publish("refused", mark, { qos: 1 })))
        witness.error(yield* Effect.flip(session.publish("bad/#", mark)))
        yield* broker.cut("plant")
        yield* broker.refuseConnect(0x86, { times: 2 })
        yield* log.until((event) => event._tag === "Reconnecting" && event.error.reason._tag === "BadCredentials")
        witness.error(yield* Effect.flip(session.publish("t", mark, { qos: 1 })))
        assert.isAbove(addresses.length, 2)
        for (const text of addresses) witness.note("transport request", text)
        yield* searched(witness, 50)
      }).pipe(Effect.scoped, Effect.provideService(Transport.Transport, transport), Effect.provide(witness.layer))
    }))

  it.live("of a real WebSocket that fails in every way, and sends them to the server only", () =>
    Effect.gen(function*() {
      const witness = makeWitness()
      yield* Effect.gen(function*() {
        const manager = yield* SessionManager.make()
        yield* witness.watch(manager)
        const listeners = [
          yield* listen({ protocol: "ws", refuseUpgrade: 401 }),
          yield* listen({ protocol: "ws", refuseUpgrade: 302 }),
          yield* listen({ protocol: "ws", subprotocol: false }),
          yield* listen({
            protocol: "ws",
            serve: (peer) => Effect.map(peer.received("Connect"), () => peer.destroy())
          }),
          yield* listen({ protocol: "ws", serve: accepting({ reasonCode: 0x87 }) })
        ]
        const closed = yield* Effect.scoped(Effect.map(listen({ protocol: "ws" }), ({ address }) => address.port))
        for (const [index, port] of [...listeners.map(({ address }) => address.port), closed].entries()) {
          const session = yield* manager.add({
            name: `session-${index}`,
            servers: `ws://me:${mark}@localhost:${port}/mqtt?token=${mark}`,
            reconnect: { enabled: false }
          })
          witness.error(yield* Effect.flip(session.awaitReady))
        }
        // The token is sent where it has to be: otherwise nothing was proved.
        assert.strictEqual(listeners[4]!.upgrades[0]?.url, `/mqtt?token=${mark}`)
        assert.strictEqual(listeners[4]!.peers.length, 1)
        yield* searched(witness, 50)
      }).pipe(Effect.scoped, Effect.provide(witness.layer))
    }))

  it.live("of options that are refused", () =>
    Effect.gen(function*() {
      const witness = makeWitness()
      const manager = yield* SessionManager.make()
      for (
        const servers of [
          `wss://me:${mark}@a/mqtt?token=${mark}#fragment`,
          `mqtt://a/mqtt?token=${mark}`,
          `ws://[fe80::1%eth0]/mqtt?token=${mark}`,
          `http://me:${mark}@a?token=${mark}`,
          `wss://me:${mark}@a?token=${mark},ws://b?token=${mark}`
        ]
      ) {
        witness.error(yield* Effect.flip(manager.add({ name: "plant", servers })))
      }
      yield* searched(witness, 5)
    }))
})
