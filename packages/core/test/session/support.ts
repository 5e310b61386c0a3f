/**
 * What the tests of a session share: what all packages have, and the parts of a session.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import * as SessionOptions from "@effect-mqttx/core/SessionOptions"
import * as Transport from "@effect-mqttx/core/Transport"
import type * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { Effect, type Scope } from "effect"
import type { StoreFor } from "../../../../test/support/anySession.ts"
import { impatient, type Options } from "../../../../test/support/sessions.ts"
import type { SessionCore } from "../../src/internal/session/core.ts"
import { makeSession as makeCore } from "../../src/internal/session/session.ts"

export * from "../../../../test/support/sessions.ts"

let sessions = 0

/** The parts of a session that is ready, for tests of what no program can do. */
export const readyCore = <P extends SessionOptions.Persistence = never>(
  broker: ScriptedBroker.Service,
  options?: Options<P>
): Effect.Effect<SessionCore, MqttError, Scope.Scope | StoreFor<P>> =>
  SessionOptions.make({ name: `core-${++sessions}`, servers: [broker.url], reconnect: impatient, ...options }).pipe(
    Effect.flatMap((valid) => makeCore(valid)),
    Effect.tap(({ session }) => session.awaitReady),
    Effect.provideService(Transport.Transport, broker.transport)
  )
