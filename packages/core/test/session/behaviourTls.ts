import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { Define } from "./behaviour.ts"
import { event, type Options, reason, type World } from "./behaviourWorld.ts"

const refused = Effect.fnUntraced(function*(world: World, options: Options) {
  const session = yield* world.make(options)
  const failure = yield* reason(session.awaitReady, "TlsFailure")
  assert.isFalse(failure.isRetryable)
  assert.isAtLeast((yield* event(session, "Reconnecting")).delay, 60_000)
  return failure
})

export const tls = (test: Define): void => {
  test("a server of an unknown authority is refused with TlsFailure", (world) =>
    Effect.gen(function*() {
      yield* refused(world, { tls: world.server.tls!.unknownAuthority })
    }))

  test("a server under a name that its certificate does not have is refused with TlsFailure", (world) =>
    Effect.gen(function*() {
      const { code } = yield* refused(world, { servers: [world.server.tls!.wrongName] })
      assert.strictEqual(code, "ERR_TLS_CERT_ALTNAME_INVALID")
    }))

  test("a server with an expired certificate is refused with TlsFailure", (world) =>
    Effect.gen(function*() {
      const { code } = yield* refused(world, { servers: [world.server.tls!.expired] })
      assert.strictEqual(code, "CERT_HAS_EXPIRED")
    }))

  test("a server that wants a certificate refuses a client without one with TlsFailure", (world) =>
    Effect.gen(function*() {
      yield* refused(world, { tls: world.server.tls!.noClientCertificate })
    }))

  test("a server of an unknown authority is accepted where the options say so", (world) =>
    Effect.gen(function*() {
      const { ca: _, ...tls } = world.server.options.tls!
      yield* world.session({ tls: { ...tls, insecureSkipVerify: true } })
    }))
}
