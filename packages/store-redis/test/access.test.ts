import { RedisServer } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { outbound, put, sequencesOf } from "../../../test/support/storeRecords.ts"
import { type DriverOptions, store } from "./support/redis.ts"

const commitAndLoad = (server: RedisServer.Service, options: DriverOptions) =>
  Effect.scoped(Effect.gen(function*() {
    const handle = yield* (yield* store(server, {}, options)).open("plant")
    yield* handle.commit([put(outbound(1))])
    return sequencesOf(yield* handle.load)
  }))

describe.skipIf(!RedisServer.isPresent())("access to Redis, as the driver's options say", () => {
  it.live("user, password and database", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({
        requirepass: "root",
        users: {
          ann: "on >secret ~mqttx:session:* -@all +@hash +@scripting +@keyspace +@string +@connection +info +time"
        }
      })
      const login = { username: "ann", password: "secret", database: 3 }
      assert.deepStrictEqual(yield* commitAndLoad(server, login), [1])
      assert.match(String(yield* server.command("INFO", "keyspace")), /^db3:keys=2,/m)
      for (const wrong of [{}, { ...login, password: "x" }, { ...login, username: "bob" }]) {
        const error = yield* Effect.flip(commitAndLoad(server, wrong))
        assert.match(String(error.cause), /NOAUTH|WRONGPASS/)
      }
    }))

  it.live("TLS, with the certificates of both sides checked", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({ tls: true, requireClientCertificate: true, requirepass: "secret" })
      const { ca, client, otherCa } = server.certificates!
      const url = `rediss://:secret@localhost:${server.tlsPort}`
      const socket = { tls: true as const, ca, ...client }
      assert.deepStrictEqual(yield* commitAndLoad(server, { url, socket }), [1])
      const untrusted = yield* Effect.flip(commitAndLoad(server, { url, socket: { ...socket, ca: otherCa } }))
      assert.match(String(untrusted.cause), /certificate/)
      const anonymous = yield* Effect.exit(commitAndLoad(server, { url, socket: { tls: true, ca } }))
      assert.strictEqual(anonymous._tag, "Failure")
    }))
})
