/**
 * A broker for tests: strict, scriptable, recording, and in the same process as the test.
 *
 * It implements MQTT 3.1.1 and 5.0 (see `BrokerCore`), applies faults at any packet or byte (see `Fault`), and records
 * every packet with its time. `layerMemory` connects clients of `@effect-mqttx/core` to it without sockets, and takes
 * the time only from Effect's Clock, so that tests run under `TestClock`. `layer` listens on an ephemeral loopback
 * port. It is not for production.
 *
 * **Example** (Testing what is published)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { ScriptedBroker } from "@effect-mqttx/testing"
 * import { Effect, Layer } from "effect"
 * import * as assert from "node:assert"
 *
 * const Plant = MqttSession.layer({ name: "plant", servers: [ScriptedBroker.memoryUrl] })
 *
 * export const program = Effect.gen(function*() {
 *   const session = yield* MqttSession.MqttSession
 *   yield* session.publish("sensors/room1/temperature", "23.5", { qos: 1 })
 *
 *   const broker = yield* ScriptedBroker.ScriptedBroker
 *   const { packet } = yield* broker.awaitPacket({ direction: "received", packet: "Publish" })
 *   assert.strictEqual(packet.topic, "sensors/room1/temperature")
 * }).pipe(Effect.provide(Plant.pipe(Layer.provideMerge(ScriptedBroker.layerMemory()))))
 * ```
 */
import { listen } from "#listener"
import * as Transport from "@effect-mqttx/core/Transport"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { ListenOptions, ScriptedBrokerOptions, Service } from "./internal/scripted/contract.ts"
import { memoryUrl as urlInMemory } from "./internal/scripted/memoryTransport.ts"
import { makeHub } from "./internal/scripted/runningHub.ts"
import { makeService } from "./internal/scripted/service.ts"
export type { ProfileName } from "./internal/profiles/contract.ts"
export type {
  CutOptions,
  InjectedFault,
  ListenOptions,
  RecordedPacketOf,
  RecordMatch,
  RefusalOptions,
  ReleaseOptions,
  RunningCutter,
  ScriptedBrokerOptions,
  ServerPublication,
  ServerPublishOptions,
  Service,
  Target
} from "./internal/scripted/contract.ts"

/**
 * The broker as a service.
 *
 * @stability stable
 * @category services
 * @since 0.1.0
 */
export class ScriptedBroker
  extends Context.Service<ScriptedBroker, Service>()("@effect-mqttx/testing/ScriptedBroker")
{}

/**
 * The address of a broker in memory, for the `servers` of sessions. Its transport accepts any other address too. This
 * one resolves nowhere if the transport is missing.
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const memoryUrl: string = urlInMemory

/**
 * Makes a broker that is reachable only by its `transport`, at `memoryUrl`. Dies with an `MqttError` for invalid
 * options.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const makeMemory = (options: ScriptedBrokerOptions = {}): Effect.Effect<Service, never, Scope.Scope> =>
  Effect.map(makeHub(options, "makeMemory"), (hub) => makeService(hub, undefined))

/**
 * Makes a broker that listens on an ephemeral loopback port, and is also reachable by its `transport`. Needs Node. Dies
 * with an `MqttError` for invalid options.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: ListenOptions = {}): Effect.Effect<Service, never, Scope.Scope> =>
  Effect.gen(function*() {
    const hub = yield* makeHub(options, "make")
    const listening = yield* listen(hub.accept, { webSocket: options.webSocket ?? false })
    return makeService(hub, listening)
  })

/**
 * A broker that listens on an ephemeral loopback port, see `make`.
 *
 * **Example** (Listening on a port of this machine)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { ScriptedBroker } from "@effect-mqttx/testing"
 * import { Effect } from "effect"
 *
 * export const publish = Effect.gen(function*() {
 *   const broker = yield* ScriptedBroker.ScriptedBroker
 *   const session = yield* MqttSession.make({ name: "plant", servers: [broker.url] })
 *   yield* session.publish("sensors/room1/temperature", "23.5", { qos: 1 })
 * }).pipe(Effect.scoped, Effect.provide(ScriptedBroker.layer()))
 * ```
 *
 * @stability stable
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: ListenOptions): Layer.Layer<ScriptedBroker> =>
  Layer.effect(ScriptedBroker, make(options))

/**
 * A broker in memory, together with core's `Transport`, so that every session below this layer is connected to it.
 *
 * **Example** (Connecting a session to the broker in memory)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { ScriptedBroker } from "@effect-mqttx/testing"
 * import { Layer } from "effect"
 *
 * export const Test = MqttSession.layer({ name: "plant", servers: [ScriptedBroker.memoryUrl] }).pipe(
 *   Layer.provideMerge(ScriptedBroker.layerMemory())
 * )
 * ```
 *
 * @stability stable
 * @category layers
 * @since 0.1.0
 */
export const layerMemory = (options?: ScriptedBrokerOptions): Layer.Layer<ScriptedBroker> =>
  Layer.effectContext(
    Effect.map(
      makeMemory(options),
      (broker) => Context.make(ScriptedBroker, broker).pipe(Context.add(Transport.Transport, broker.transport))
    )
  )
