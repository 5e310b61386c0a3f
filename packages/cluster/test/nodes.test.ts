import { MqttSession } from "@effect-mqttx/core"
import { MosquittoBroker, PostgresServer } from "@effect-mqttx/testing"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Fiber, Layer, Schedule, Stream } from "effect"
import { assignment } from "../../../test/support/assignment.ts"
import { connectionsOf, identifiers, node, quiet } from "./support/nodes.ts"
import * as timings from "./support/timings.ts"

const servers = Layer.merge(
  PostgresServer.layer({ settings: { fsync: "off" } }),
  Layer.effect(MosquittoBroker.MosquittoBroker, MosquittoBroker.make({ config: ["max_queued_messages 100000"] }))
)

/** Waits until every session has an owner that is connected, and answers with the nodes. */
const ownersOf = (calls: Effect.Success<ReturnType<typeof node>>["sites"], ids: ReadonlyArray<string>) =>
  Effect.forEach(
    ids,
    (id) =>
      calls.status(id).pipe(
        Effect.filterOrFail(({ ready }) => ready, (status) => status),
        Effect.retry(Schedule.spaced("50 millis")),
        Effect.map(({ node: owner }) => owner)
      ),
    { concurrency: "unbounded" }
  )

/** Waits until each session is on the node that it belongs to, and answers with the nodes. */
const settled = Effect.fnUntraced(function*(
  nodes: ReadonlyArray<Effect.Success<ReturnType<typeof node>>>,
  ids: ReadonlyArray<string>
) {
  const ownerOf = yield* assignment(nodes.map(({ address }) => address), timings.sharding.shardsPerGroup)
  return yield* ownersOf(nodes[0]!.sites, ids).pipe(
    Effect.filterOrFail((owners) => owners.every((owner, i) => owner === ownerOf(ids[i]!)), () => "not yet"),
    Effect.retry(Schedule.spaced("50 millis"))
  )
})

describe.skipIf(!PostgresServer.isPresent() || !MosquittoBroker.isPresent())("several nodes", () => {
  layer(servers, { excludeTestServices: true, timeout: "1 minute" })((it) => {
    it.effect("each session has one owner, and a call from any node reaches it", () =>
      Effect.gen(function*() {
        const { port } = yield* PostgresServer.PostgresServer
        const broker = yield* MosquittoBroker.MosquittoBroker
        const settings = { database: port, prefix: "reached", broker: broker.url }
        const nodes = yield* Effect.all([node(settings), node(settings), node(settings)], { concurrency: 3 })
        const ids = identifiers("reached", 30)
        const observer = yield* MqttSession.make({ name: "observer-reached", servers: [broker.url] })
        const seen = yield* observer.subscription("reached/#", { qos: 2 })
        yield* settled(nodes, ids)
        yield* Effect.forEach(ids, (id, i) => nodes[i % 3]!.sites.publish(id, `reached/${id}`, id, { qos: 2 }), {
          concurrency: "unbounded"
        })
        const texts = yield* seen.messages.pipe(
          Stream.take(ids.length),
          Stream.map(({ text }) => text),
          Stream.runCollect
        )
        assert.deepStrictEqual(Array.from(texts).sort(), ids.toSorted())
        const owners = yield* Effect.forEach(nodes, ({ sites }) => ownersOf(sites, ids))
        assert.deepStrictEqual(owners[1], owners[0])
        assert.deepStrictEqual(owners[2], owners[0])
        assert.strictEqual(new Set(owners[0]).size, 3)
      }).pipe(quiet), 240_000)

    it.effect(
      "status and close of a session that another node owns, which is opened again by the next call",
      () =>
        Effect.gen(function*() {
          const { port } = yield* PostgresServer.PostgresServer
          const broker = yield* MosquittoBroker.MosquittoBroker
          const settings = { database: port, prefix: "closed", broker: broker.url }
          const nodes = yield* Effect.all([node(settings), node(settings)], { concurrency: 2 })
          const ids = identifiers("closed", 16)
          const owners = yield* settled(nodes, ids)
          const id = ids[0]!
          const [owner, other] = owners[0] === nodes[0].address ? nodes : [nodes[1], nodes[0]]
          // It has moved if the node that had it first was alone then.
          const before = connectionsOf(broker.log(), id).length
          const { clientId, node: address, ready, state } = yield* other.sites.status(id)
          assert.deepStrictEqual({ clientId, address, ready, state }, {
            clientId: id,
            address: owner.address,
            ready: true,
            state: "connected"
          })
          yield* other.sites.close(id)
          yield* Effect.sleep("20 millis").pipe(
            Effect.repeat({ until: () => broker.log().split(`Client ${id} disconnected`).length - 1 === before })
          )
          assert.strictEqual(connectionsOf(broker.log(), id).length, before)
          yield* other.sites.publish(id, "closed/again", "x", { qos: 2 })
          assert.strictEqual((yield* other.sites.status(id)).node, owner.address)
          assert.deepStrictEqual(connectionsOf(broker.log(), id).slice(before - 1), [
            { user: owner.address, isTakeover: false },
            { user: owner.address, isTakeover: false }
          ])
          assert.isTrue(owner.connected().findLast((each) => each.clientId === id)!.isPresent)
        }).pipe(quiet),
      240_000
    )

    it.effect(
      "a node that joins gets sessions, and returns them when it leaves: no message lost or doubled",
      () =>
        Effect.gen(function*() {
          const { port } = yield* PostgresServer.PostgresServer
          const broker = yield* MosquittoBroker.MosquittoBroker
          const received: Array<string> = []
          const ids = identifiers("scaled", 16)
          const settings = {
            database: port,
            prefix: "scaled",
            broker: broker.url,
            clientIds: ids,
            run: (session: MqttSession.Session, clientId: string) =>
              session.consume(`scaled/${clientId}/in`, (message) =>
                Effect.sync(() => {
                  received.push(`${clientId} ${message.text}`)
                }), { qos: 2, consumer: "in" })
          }
          const first = yield* node(settings)
          yield* settled([first], ids)
          const observer = yield* MqttSession.make({ name: "observer-scaled", servers: [broker.url] })
          const load = { count: 0, isFinished: false }
          const sending = yield* Effect.gen(function*() {
            while (!load.isFinished) {
              const text = String(load.count++)
              yield* Effect.forEach(ids, (id) => observer.publish(`scaled/${id}/in`, text, { qos: 2 }), {
                concurrency: "unbounded"
              })
              yield* Effect.sleep("5 millis")
            }
          }).pipe(Effect.forkChild({ startImmediately: true }))
          const second = yield* node(settings)
          const spread = yield* settled([first, second], ids)
          const moved = new Set(ids.filter((_, i) => spread[i] === second.address))
          yield* second.leave
          assert.deepStrictEqual(yield* ownersOf(first.sites, ids), ids.map(() => first.address))
          load.isFinished = true
          yield* Fiber.join(sending)
          const expected = ids.flatMap((id) => Array.from({ length: load.count }, (_, n) => `${id} ${n}`))
          yield* Effect.sleep("20 millis").pipe(Effect.repeat({ until: () => received.length >= expected.length }))
          assert.deepStrictEqual(received.toSorted(), expected.toSorted())
          for (const id of ids) {
            const there = moved.has(id) ? [first.address, second.address, first.address] : [first.address]
            const connections = connectionsOf(broker.log(), id)
            // A node of a machine with much load may open a session again.
            const owners = connections.map(({ user }) => user).filter((user, i, all) => user !== all[i - 1])
            assert.deepStrictEqual(owners, there)
            assert.isFalse(connections.some(({ isTakeover }) => isTakeover))
          }
        }).pipe(quiet),
      240_000
    )

    it.effect(
      "a node that leaves hands its sessions over: present at the server, and no message lost or doubled",
      () =>
        Effect.gen(function*() {
          const { port } = yield* PostgresServer.PostgresServer
          const broker = yield* MosquittoBroker.MosquittoBroker
          const received: Array<string> = []
          const ids = identifiers("handed", 16)
          const settings = {
            database: port,
            prefix: "handed",
            broker: broker.url,
            clientIds: ids,
            run: (session: MqttSession.Session, clientId: string) =>
              session.consume(`handed/${clientId}/in`, (message) =>
                Effect.sync(() => {
                  received.push(`${clientId} ${message.text}`)
                }), { qos: 2, consumer: "in" })
          }
          const nodes = yield* Effect.all([node(settings), node(settings)], { concurrency: 2 })
          const before = yield* settled(nodes, ids)
          const observer = yield* MqttSession.make({ name: "observer-handed", servers: [broker.url] })
          const out = yield* observer.subscription("handed/+/out", { qos: 2 })
          const count = 200
          const expected = ids.flatMap((id) => Array.from({ length: count }, (_, n) => `${id} ${n}`))
          const collecting = yield* out.messages.pipe(
            Stream.map(({ text }) => text),
            Stream.takeUntil(() => ++seen === expected.length),
            Stream.runCollect,
            Effect.forkChild({ startImmediately: true })
          )
          let seen = 0
          const sending = yield* Effect.forEach(
            Array.from({ length: count }, (_, n) => n),
            (n) =>
              Effect.forEach(ids, (id) =>
                Effect.all([
                  observer.publish(`handed/${id}/in`, String(n), { qos: 2 }),
                  nodes[1].sites.enqueue(id, `handed/${id}/out`, `${id} ${n}`, { qos: 2 })
                ], { concurrency: 2 }), { concurrency: "unbounded" }),
            { discard: true }
          ).pipe(Effect.forkChild({ startImmediately: true }))
          yield* Effect.sleep(0).pipe(Effect.repeat({ until: () => received.length > 100 }))
          yield* nodes[0].leave
          yield* Fiber.join(sending)
          const texts = yield* Fiber.join(collecting)
          assert.deepStrictEqual(Array.from(texts).sort(), expected.toSorted())
          yield* Effect.sleep("20 millis").pipe(Effect.repeat({ until: () => received.length >= expected.length }))
          assert.deepStrictEqual(received.toSorted(), expected.toSorted())
          const after = yield* ownersOf(nodes[1].sites, ids)
          assert.deepStrictEqual(after, ids.map(() => nodes[1].address))
          for (const id of ids) {
            const connections = connectionsOf(broker.log(), id)
            assert.isTrue(connections.every(({ isTakeover }) => !isTakeover), JSON.stringify(connections))
          }
          const connected = nodes[1].connected()
          for (const id of ids.filter((_, i) => before[i] === nodes[0].address)) {
            assert.isTrue(connected.findLast(({ clientId }) => clientId === id)!.isPresent)
          }
        }).pipe(quiet),
      240_000
    )
  })
})
