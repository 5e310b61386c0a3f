import { MosquittoBroker, PostgresServer, RedisServer } from "@effect-mqttx/testing"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { quiet } from "./support/nodes.ts"
import { bundle, cluster } from "./support/programs.ts"

const servers = Layer.merge(
  // A paused process must not keep the locks of a transaction that it has begun.
  PostgresServer.layer({
    settings: { fsync: "off", max_connections: "300", idle_in_transaction_session_timeout: "2s" }
  }),
  Layer.effect(MosquittoBroker.MosquittoBroker, MosquittoBroker.make({ config: ["max_queued_messages 0"] }))
)

const make = Effect.fnUntraced(function*(prefix: string, protocolVersion: 4 | 5 = 5, redis?: string) {
  yield* bundle
  const started = yield* cluster(yield* PostgresServer.PostgresServer, yield* MosquittoBroker.MosquittoBroker, {
    prefix,
    processes: 3,
    // So many that each node has some of them: the victim, which may begin with all, gets its own ones back.
    sessions: 24,
    protocolVersion,
    ...(redis === undefined ? undefined : { redis })
  })
  const victimName = started.servedBy.get(started.clientIds[0]!)!
  const victim = started.nodes.find(({ name }) => name === victimName)!
  const affected = started.clientIds.filter((id) => started.servedBy.get(id) === victimName)
  const isServedByOthers = () => affected.every((id) => started.servedBy.get(id) !== victimName)
  const isBack = () => started.clientIds.some((id) => started.servedBy.get(id) === victimName)
  /** The connections that ended another one: who was it, and who came. */
  const takeovers = (id: string) => {
    const all = started.connections(id)
    return all.flatMap(({ isTakeover, user }, i) => isTakeover ? [{ from: all[i - 1]!.user, to: user }] : [])
  }
  return { ...started, victim, affected, isServedByOthers, isBack, takeovers }
})

describe.skipIf(!PostgresServer.isPresent() || !MosquittoBroker.isPresent())("processes", () => {
  layer(servers, { excludeTestServices: true, timeout: "1 minute" })((it) => {
    it.effect(
      "a session whose owner is killed continues at another node, and nothing is lost or doubled",
      () =>
        Effect.gen(function*() {
          const { affected, finish, isBack, isServedByOthers, takeovers, until, victim, wills } = yield* make("killed")
          yield* victim.kill
          yield* until(isServedByOthers, "others take over")
          // The server has published the wills of the process, as for any one that dies.
          yield* until(() => affected.every((id) => wills.includes(id)), "wills")
          yield* victim.start
          yield* until(isBack, "the node gets sessions back")
          const { published, received, rows } = yield* finish
          assert.deepStrictEqual(rows, published)
          assert.deepStrictEqual(received, published)
          assert.deepStrictEqual(affected.flatMap(takeovers).filter(({ to }) => to === victim.name), [])
        }).pipe(quiet),
      600_000
    )

    it.effect(
      "a node that gets SIGTERM hands its sessions over without wills, and nothing is lost or doubled",
      () =>
        Effect.gen(function*() {
          const { affected, connections, finish, isServedByOthers, until, victim, wills } = yield* make("ended")
          // As `NodeRuntime.runMain` ends.
          assert.strictEqual(yield* victim.leave, 130)
          yield* until(isServedByOthers, "others take over")
          const { published, received, rows } = yield* finish
          assert.deepStrictEqual(rows, published)
          assert.deepStrictEqual(received, published)
          assert.deepStrictEqual(wills, [])
          // Each next owner came when the last one had disconnected.
          for (const id of affected) {
            const all = connections(id)
            assert.isFalse(all.some(({ isTakeover }) => isTakeover))
            assert.strictEqual(all.at(-2)!.user, victim.name)
            assert.notStrictEqual(all.at(-1)!.user, victim.name)
          }
        }).pipe(quiet),
      600_000
    )

    it.effect.skipIf(!RedisServer.isPresent())(
      "state in Redis, locks in PostgreSQL: killed owners lose nothing, and the rows have each message once",
      () =>
        Effect.gen(function*() {
          const { url } = yield* RedisServer.make({ appendonly: true, appendfsync: "always" })
          const { affected, finish, isBack, isServedByOthers, takeovers, until, victim } = yield* make("redis", 5, url)
          yield* victim.kill
          yield* until(isServedByOthers, "others take over")
          yield* victim.start
          yield* until(isBack, "the node gets sessions back")
          const { published, received, rows } = yield* finish
          assert.deepStrictEqual(rows, published)
          assert.deepStrictEqual(Array.from(new Set(received)), published)
          assert.deepStrictEqual(affected.flatMap(takeovers).filter(({ to }) => to === victim.name), [])
        }).pipe(quiet),
      600_000
    )

    it.effect.each([4, 5] as const)(
      "an owner that was paused does not come back as a second one, MQTT %s",
      (version) =>
        Effect.gen(function*() {
          const prefix = `paused${version}`
          const { affected, finish, isBack, isServedByOthers, takeovers, until, victim } = yield* make(prefix, version)
          yield* victim.pause
          yield* until(isServedByOthers, "others take over")
          yield* victim.resume
          yield* until(isBack, "the node gets sessions back")
          const { published, received, rows } = yield* finish
          assert.deepStrictEqual(rows, published)
          assert.deepStrictEqual(received, published)
          // The next owners end the connections of the paused one, which ends none of theirs.
          const all = affected.flatMap(takeovers)
          assert.isAbove(all.filter(({ from }) => from === victim.name).length, 0)
          assert.deepStrictEqual(all.filter(({ to }) => to === victim.name), [])
        }).pipe(quiet),
      600_000
    )

    it.effect(
      "a node that is cut off from the database ends its sessions, and other nodes take them over",
      () =>
        Effect.gen(function*() {
          const { affected, finish, isBack, isServedByOthers, takeovers, until, victim } = yield* make("cut")
          yield* victim.cut
          yield* until(isServedByOthers, "others take over")
          yield* victim.mend
          yield* until(isBack, "the node gets sessions back")
          const { published, received, rows } = yield* finish
          assert.deepStrictEqual(rows, published)
          assert.deepStrictEqual(received, published)
          assert.deepStrictEqual(affected.flatMap(takeovers).filter(({ to }) => to === victim.name), [])
        }).pipe(quiet),
      600_000
    )
  })
})
