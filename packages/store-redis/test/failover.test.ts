import type { MqttError, SessionStore } from "@effect-mqttx/core"
import { RedisStore } from "@effect-mqttx/store-redis"
import { RedisServer } from "@effect-mqttx/testing"
import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Schedule, Scope } from "effect"
import { Redis } from "effect/persistence"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { kindOf, outbound, put, sequencesOf } from "../../../test/support/storeRecords.ts"
import { makeProxy } from "./support/proxy.ts"
import { type DriverOptions, intercepted } from "./support/redis.ts"

const impatient = { commandTimeout: "3 seconds" } as const

/** Both services of a driver, for the scope. */
const driverOver = (url: string, options?: DriverOptions) =>
  Layer.build(Layer.fresh(NodeRedis.layer({ url, ...options })))

const storeOver = Effect.fnUntraced(function*(
  context: Context.Context<Redis.Redis>,
  options: RedisStore.RedisStoreInput = {}
) {
  return yield* Effect.provideContext(RedisStore.make({ ...impatient, ...options }), context)
})

/** Two servers and a proxy that leads to the first one; a session is open, and has committed one message. */
const world = Effect.fnUntraced(function*(
  options: RedisStore.RedisStoreInput = {},
  first?: Parameters<typeof RedisServer.make>[0],
  begin: (old: RedisServer.Service) => Effect.Effect<unknown, unknown> = () => Effect.void
) {
  const old = yield* RedisServer.make(first)
  yield* begin(old)
  const next = yield* RedisServer.make()
  const proxy = yield* makeProxy(old.port)
  const context = yield* driverOver(proxy.url)
  const store = yield* storeOver(context, options)
  const handle = yield* store.open("plant")
  yield* handle.load
  yield* handle.commit([put(outbound(1))])
  return { old, next, proxy, context, store, handle }
})

/**
 * The next commit succeeds, tried again as a session does, at the server that new connections lead to, and it has all
 * records.
 */
const expectGoesOn = Effect.fnUntraced(function*(
  handle: SessionStore.SessionStoreHandle,
  next: RedisServer.Service
) {
  yield* Effect.retry(handle.commit([put(outbound(2))]), Schedule.spaced(100))
  assert.deepStrictEqual(sequencesOf(yield* handle.load), [1, 2])
  assert.strictEqual(yield* next.command("HLEN", "mqttx:session:{plant}:records"), 3)
})

describe.skipIf(!RedisServer.isPresent())("a connection to a server that is no longer the primary", () => {
  const states: ReadonlyArray<{
    readonly reply: string
    readonly config?: ReadonlyArray<string>
    readonly begin?: (old: RedisServer.Service) => Effect.Effect<unknown, unknown>
    readonly bring: (
      old: RedisServer.Service,
      next: RedisServer.Service
    ) => Effect.Effect<unknown, unknown, Scope.Scope>
  }> = [
    {
      reply: "READONLY: a primary that has become a replica of the new one",
      bring: (old, next) => old.command("REPLICAOF", "127.0.0.1", `${next.port}`)
    },
    {
      reply: "MASTERDOWN: a replica that has lost its primary",
      config: ["replica-serve-stale-data no"],
      bring: (old) => old.command("REPLICAOF", "127.0.0.1", "1")
    },
    {
      reply: "NOREPLICAS: a primary that is cut off from its replicas",
      bring: (old) => old.config("min-replicas-to-write", "1")
    },
    {
      reply: "LOADING: a replica that reads all data of the new primary",
      config: ["key-load-delay 20000", "loading-process-events-interval-bytes 1024"],
      bring: (old, next) =>
        Effect.gen(function*() {
          for (let i = 0; i < 1000; i++) yield* next.command("SET", `other ${i}`, "x".repeat(200))
          yield* old.command("REPLICAOF", "127.0.0.1", `${next.port}`)
          yield* Effect.repeat(Effect.exit(old.command("GET", "x")), {
            until: (exit) => exit._tag === "Failure" && String(exit.cause).includes("LOADING")
          })
          yield* Effect.addFinalizer(() => old.kill)
        })
    },
    {
      reply: "CLUSTERDOWN: a node of a cluster that has lost its slots",
      config: ["cluster-enabled yes"],
      begin: (old) =>
        Effect.andThen(
          old.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383"),
          Effect.repeat(old.command("CLUSTER", "INFO"), {
            until: (info) => String(info).includes("cluster_state:ok")
          })
        ),
      bring: (old) =>
        Effect.andThen(
          old.command("CLUSTER", "DELSLOTSRANGE", "0", "16383"),
          Effect.repeat(old.command("CLUSTER", "INFO"), {
            until: (info) => String(info).includes("cluster_state:fail")
          })
        )
    },
    {
      reply: "MISCONF: a primary that cannot write its files",
      config: ["save 3600 1000"],
      bring: (old) =>
        Effect.gen(function*() {
          const [, directory] = (yield* old.command("CONFIG", "GET", "dir")) as ReadonlyArray<string>
          Fs.mkdirSync(Path.join(directory!, "dump.rdb"))
          yield* old.command("BGSAVE")
          yield* Effect.repeat(old.command("INFO", "persistence"), {
            until: (info) =>
              String(info).includes("rdb_last_bgsave_status:err") && String(info).includes("rdb_bgsave_in_progress:0")
          })
        })
    },
    {
      reply: "BUSY and UNKILLABLE: a script that does not end",
      config: ["busy-reply-threshold 1"],
      bring: (old) =>
        Effect.gen(function*() {
          const endless = `redis.call('SET', 'endless', '1') while true do end`
          yield* Effect.forkScoped(Effect.exit(old.command("EVAL", endless, "0")))
          yield* Effect.repeat(Effect.flip(old.command("SCRIPT", "KILL")), {
            until: (error) => error.startsWith("UNKILLABLE")
          })
          yield* Effect.addFinalizer(() => old.kill)
        })
    }
  ]

  for (const { begin, bring, config, reply } of states) {
    it.live(`${reply}: the session continues over a new connection`, () =>
      Effect.gen(function*() {
        const { handle, next, old, proxy } = yield* world({}, config && { config }, begin)
        yield* bring(old, next)
        proxy.leadTo(next.port)
        yield* expectGoesOn(handle, next)
        assert.isAtMost(proxy.connections(), 10)
      }))
  }

  for (
    const reply of [
      "-TRYAGAIN Multiple keys request during rehashing of slot",
      "-MOVED 3999 127.0.0.1:6381",
      "-NOAUTH Authentication required.",
      "-UNKILLABLE Sorry the script already executed write commands against the dataset.",
      "-ERR something that no version of Redis has said yet",
      "+QUEUED",
      "$-1",
      "*0",
      ":7"
    ]
  ) {
    it.live(`${reply}: the session continues over a new connection`, () =>
      Effect.gen(function*() {
        const { handle, next, proxy } = yield* world()
        proxy.answer(`${reply}\r\n`)
        proxy.leadTo(next.port)
        yield* expectGoesOn(handle, next)
      }))
  }

  it.live("gone without an answer: the session continues over a new connection, and so does one that is opened then", () =>
    Effect.gen(function*() {
      const { handle, next, proxy, store } = yield* world()
      proxy.answer(undefined)
      proxy.leadTo(next.port)
      yield* expectGoesOn(handle, next)
      const other = yield* store.open("other")
      yield* other.commit([put(outbound(1))])
      assert.isAtMost(proxy.connections(), 4)
    }))

  it.live("gone without an answer: a session is opened over a new connection", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const proxy = yield* makeProxy(server.port)
      const store = yield* storeOver(yield* driverOver(proxy.url))
      proxy.answer(undefined)
      const handle = yield* store.open("plant")
      yield* handle.commit([put(outbound(1))])
    }))

  it.live("an idle owner keeps its lease at the new primary by its renewals", () =>
    Effect.gen(function*() {
      const { next, old, proxy } = yield* world({ leaseDuration: "3 seconds" })
      yield* old.command("REPLICAOF", "127.0.0.1", `${next.port}`)
      proxy.leadTo(next.port)
      yield* Effect.repeat(next.command("EXISTS", "mqttx:session:{plant}:lease"), { until: (reply) => reply === 1 })
      const other = yield* storeOver(yield* driverOver(next.url), { acquireTimeout: 0 })
      assert.strictEqual(yield* Effect.scoped(kindOf(other.open("plant"))), "owned")
    }))

  it.live("fails over again and back: each time the session continues", () =>
    Effect.gen(function*() {
      const { handle, next, old, proxy } = yield* world()
      for (let time = 0; time < 4; time++) {
        const [from, to] = time % 2 === 0 ? [old, next] : [next, old]
        yield* to.command("REPLICAOF", "NO", "ONE")
        yield* from.command("REPLICAOF", "127.0.0.1", `${to.port}`)
        proxy.leadTo(to.port)
        yield* handle.commit([put(outbound(10 + time))])
      }
      assert.deepStrictEqual(sequencesOf(yield* handle.load), [1, 10, 11, 12, 13])
    }))

  it.live("a driver that has closed the connection of the rest of the program finally: the session continues", () =>
    Effect.gen(function*() {
      const { context, handle, old } = yield* world()
      Context.get(context, NodeRedis.NodeRedis).client.destroy()
      yield* expectGoesOn(handle, old)
    }))

  it.live("the connection of the rest of the program gets no command of the store, so that its end waits for none", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const scope = yield* Scope.make()
      const context = yield* Scope.provide(driverOver(server.url), scope)
      const sent: Array<string> = []
      const redis = Context.get(context, Redis.Redis)
      const send: Redis.Redis["Service"]["send"] = (command, ...args) => {
        sent.push(command)
        return redis.send(command, ...args)
      }
      const store = yield* Scope.provide(storeOver(Context.make(Redis.Redis, { ...redis, send })), scope)
      const handle = yield* Scope.provide(store.open("plant"), scope)
      yield* handle.load
      yield* server.kill
      for (let i = 0; i < 3; i++) assert.strictEqual(yield* kindOf(handle.commit([put(outbound(1))])), "unavailable")
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(sent, [])
    }))

  it.live("where a new connection is no better, the failure is that of the server, and few are made", () =>
    Effect.gen(function*() {
      const { handle, old, proxy } = yield* world()
      yield* old.command("REPLICAOF", "127.0.0.1", "1")
      for (let i = 0; i < 50; i++) assert.strictEqual(yield* kindOf(handle.commit([put(outbound(2))])), "readOnly")
      assert.isAtMost(proxy.connections(), 10)
      yield* old.command("REPLICAOF", "NO", "ONE")
      yield* expectGoesOn(handle, old)
    }))

  it.live("where the driver has no free connection, calls fail in bounded time, and the session continues when it has one", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const context = yield* driverOver(server.url, { maxConnections: 1 })
      const store = yield* storeOver(context)
      const taken = yield* Scope.make()
      yield* Scope.provide(Context.get(context, Redis.Redis).reserve, taken)
      const error = yield* Effect.flip(Effect.scoped(store.open("plant")))
      assert.deepInclude(error.reason, { _tag: "StorageFailed", kind: "unavailable" })
      assert.include(error.message, "maxConnections")
      yield* Scope.close(taken, Exit.void)
      const handle = yield* store.open("plant")
      yield* handle.commit([put(outbound(1))])
      assert.deepStrictEqual(sequencesOf(yield* handle.load), [1])
    }))

  it.live("the connection of the store's own ends with its last session, and with the store", () =>
    Effect.gen(function*() {
      const old = yield* RedisServer.make()
      const next = yield* RedisServer.make()
      const proxy = yield* makeProxy(old.port)
      // Without the link of the replica.
      const clients = Effect.map(
        next.command("CLIENT", "LIST"),
        (list) => String(list).split("\n").filter((commands) => commands.includes(" flags=N ")).length
      )
      const before = yield* clients
      const driverScope = yield* Scope.make()
      const context = yield* Scope.provide(driverOver(proxy.url), driverScope)
      const storeScope = yield* Scope.fork(driverScope)
      const store = yield* Scope.provide(storeOver(context), storeScope)
      const move = Effect.gen(function*() {
        proxy.leadTo(old.port)
        yield* old.command("REPLICAOF", "127.0.0.1", `${next.port}`)
        proxy.leadTo(next.port)
      })
      yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* store.open("a")
        yield* move
        yield* handle.commit([put(outbound(1))])
        assert.isAbove(yield* clients, before)
      }))
      const sessionScope = yield* Scope.make()
      const handle = yield* Scope.provide(store.open("b"), sessionScope)
      yield* handle.commit([put(outbound(1))])
      // The driver waits for what is reserved of it.
      yield* Scope.close(driverScope, Exit.void)
      assert.strictEqual(yield* kindOf(handle.commit([put(outbound(2))])), "closed")
      yield* Effect.repeat(clients, { until: (count) => count === before })
      yield* Scope.close(sessionScope, Exit.void)
    }))

  it.live("an abandoned call that arrives when another connection is in use undoes nothing", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const redis = Context.get(yield* driverOver(server.url), Redis.Redis)
      const late: Array<ReadonlyArray<string>> = []
      let isStuck = false
      const stuck = intercepted(redis, (send) => {
        // What the first connection gets from some time on arrives when all is over.
        const isFirst = !isStuck
        return (command, ...args) =>
          Effect.suspend(() => {
            if (!isStuck || !isFirst) return send(command, ...args)
            late.push([command, ...args])
            return Effect.never
          })
      })
      const store = yield* storeOver(Context.make(Redis.Redis, stuck), { commandTimeout: "2 seconds" })
      const handle = yield* store.open("plant")
      yield* handle.load
      yield* handle.commit([put(outbound(1))])
      isStuck = true
      yield* Effect.retry(handle.commit([put(outbound(2))]), Schedule.spaced(50))
      yield* server.command("FLUSHALL")
      yield* Effect.retry(handle.commit([put(outbound(3))]), Schedule.spaced(50))
      const stored = server.command("HGETALL", "mqttx:session:{plant}:records")
      const before = yield* stored
      assert.isAtLeast(late.length, 1)
      yield* Effect.forEach(late, ([command, ...args]) => Effect.exit(redis.send(command!, ...args)))
      assert.deepStrictEqual(yield* stored, before)
      assert.deepStrictEqual(sequencesOf(yield* handle.load), [1, 2, 3])
    }))

  it.live("many sessions of one store move together, over one connection", () =>
    Effect.gen(function*() {
      const { next, old, proxy, store } = yield* world()
      const handles = yield* Effect.forEach(Array.from({ length: 20 }, (_, i) => `s${i}`), (name) => store.open(name))
      yield* old.command("REPLICAOF", "127.0.0.1", `${next.port}`)
      proxy.leadTo(next.port)
      const commits = yield* Effect.forEach(
        handles,
        (handle) => Effect.forkChild(handle.commit([put(outbound(1))]), { startImmediately: true })
      )
      yield* Effect.forEach(commits, (commit) => Fiber.join(commit))
      assert.isAtMost(proxy.connections(), 4)
    }))
})

describe.skipIf(!RedisServer.isPresent())("a reply that does not belong to the command", () => {
  const odd: ReadonlyArray<unknown> = [
    "OK",
    "QUEUED",
    null,
    undefined,
    7,
    3n,
    true,
    [],
    [1],
    [1, 2, 3],
    {},
    new Map(),
    [
      0,
      "soon"
    ],
    ["0", ["one"]],
    ["x", []],
    [["0"], []],
    NaN
  ]

  it.live("on every connection is a permanent failure, never a success", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const context = yield* driverOver(server.url)
      let answer: { readonly to: RegExp; readonly reply: unknown } | undefined
      const redis = intercepted(Context.get(context, Redis.Redis), (send) => (command, ...args) =>
        Effect.suspend(() =>
          answer?.to.test(command) === true ? Effect.succeed(answer.reply as never) : send(command, ...args)
        ))
      const store = yield* storeOver(Context.make(Redis.Redis, redis))
      for (const [index, reply] of odd.entries()) {
        const name = `s${index}`
        answer = { to: /EVAL/, reply }
        yield* Effect.repeat(Effect.scoped(kindOf(store.open(name))), {
          until: (kind) =>
            kind === "corrupt"
        })
        answer = undefined
        yield* Effect.scoped(Effect.gen(function*() {
          const handle = yield* store.open(name)
          answer = { to: /EVAL/, reply }
          // One connection may be at fault, and not each call tries another one.
          const untilFinal = <A>(effect: Effect.Effect<A, MqttError.MqttError>) =>
            Effect.repeat(kindOf(effect), {
              until: (kind) =>
                kind === "corrupt"
            })
          yield* untilFinal(handle.commit([put(outbound(1))]))
          yield* untilFinal(handle.clear)
          answer = { to: /HSCAN/, reply }
          yield* untilFinal(Effect.asVoid(handle.load))
          answer = undefined
          yield* handle.commit([put(outbound(1))])
          assert.deepStrictEqual(sequencesOf(yield* handle.load), [1])
        }))
      }
    }))

  it.live("to CONFIG and INFO is taken for no answer", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const context = yield* driverOver(server.url)
      for (const reply of odd) {
        const redis = intercepted(Context.get(context, Redis.Redis), (send) => (command, ...args) =>
          /CONFIG|INFO/.test(command) ? Effect.succeed(reply as never) : send(command, ...args))
        const store = yield* storeOver(Context.make(Redis.Redis, redis))
        yield* Effect.scoped(Effect.gen(function*() {
          const handle = yield* store.open("plant")
          assert.strictEqual(handle.durability, "session")
          yield* handle.commit([put(outbound(1))])
        }))
      }
    }))
})
