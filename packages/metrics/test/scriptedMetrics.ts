/**
 * Metrics whose snapshots and events a test decides, for what no broker could be brought to do on demand.
 */
import type { SessionEvent } from "@effect-mqttx/core/SessionEvent"
import { totalMetrics } from "@effect-mqttx/core/SessionManager"
import { MqttMetrics } from "@effect-mqttx/metrics/MqttMetrics"
import type {
  ForwarderSnapshot,
  MetricsSnapshot,
  MqttSnapshot,
  SessionSnapshot
} from "@effect-mqttx/metrics/MqttSnapshot"
import { type Duration, Effect, Layer, PubSub, Stream } from "effect"

const { lastErrorAt: _lastErrorAt, lastMessageAt: _lastMessageAt, ...noMetrics } = totalMetrics([])

/** The metrics of a session that has been connected for a minute. */
export const metricsOf = (given: Partial<MetricsSnapshot> = {}): MetricsSnapshot => ({
  ...noMetrics,
  uptime: 60_000,
  connections: 1,
  subscriptions: 1,
  ...given
})

export const session = (name: string, given: Partial<SessionSnapshot> = {}): SessionSnapshot => ({
  name,
  state: "connected",
  since: 1_790_000_000_000,
  ready: true,
  clientId: name,
  server: "mqtt://broker.example:1883",
  attempt: 0,
  persistence: "process",
  persistent: true,
  cleanSession: true,
  tls: "none",
  autoReconnect: true,
  subscriptionFailures: [],
  absentConsumers: [],
  metrics: metricsOf(),
  ...given
})

export const forwarder = (name: string, given: Partial<ForwarderSnapshot> = {}): ForwarderSnapshot => ({
  name,
  state: "running",
  sources: [{ name: "source", state: "active" }],
  targets: [{ name: "target", state: "active" }],
  activeSources: 1,
  targetConnected: true,
  received: 0,
  forwarded: 0,
  filtered: 0,
  dropped: {
    unmapped: 0,
    transformed: 0,
    looped: 0,
    tooManyHops: 0,
    expired: 0,
    overflow: 0,
    targetQueue: 0,
    stopped: 0
  },
  deadLettered: 0,
  failed: 0,
  duplicates: 0,
  returned: 0,
  inFlight: 0,
  retried: 0,
  refusedLater: 0,
  lag: 0,
  rates: { received: 0, forwarded: 0 },
  bytesForwarded: 0,
  ...given
})

export const everything = (
  sessions: ReadonlyArray<SessionSnapshot>,
  given: Partial<MqttSnapshot> & { readonly metrics?: MetricsSnapshot } = {}
): MqttSnapshot => {
  const { metrics = metricsOf(), ...rest } = given
  return {
    at: 1_790_000_060_000,
    totals: {
      sessions: sessions.length,
      ready: sessions.filter(({ ready }) => ready).length,
      states: { disconnected: 0, connecting: 0, connected: sessions.length, reconnecting: 0, closed: 0 },
      routes: 0,
      forwarders: 0,
      metrics
    },
    sessions,
    routes: [],
    stores: [],
    forwarders: [],
    unready: [],
    ...rest
  }
}

export interface ScriptedMetrics {
  readonly layer: Layer.Layer<MqttMetrics>
  /** What the next snapshot will be. */
  snapshot: MqttSnapshot
  /** Takes a snapshot now, without waiting for the interval. */
  readonly tick: Effect.Effect<void>
  readonly emit: (event: SessionEvent) => Effect.Effect<void>
}

/** Snapshots are taken when the test says so, the interval is ignored. */
export const make = (first: MqttSnapshot): Effect.Effect<ScriptedMetrics> =>
  Effect.gen(function*() {
    const ticks = yield* PubSub.unbounded<void>()
    const events = yield* PubSub.unbounded<SessionEvent>({ replay: 16 })
    const world: ScriptedMetrics = {
      layer: Layer.succeed(MqttMetrics, {
        snapshot: Effect.sync(() => world.snapshot),
        changes: (_interval?: Duration.Input) =>
          // Who has the first snapshot gets every tick from then on.
          Stream.unwrap(Effect.map(
            PubSub.subscribe(ticks),
            (subscription) => Stream.concat(Stream.succeed(undefined), Stream.fromSubscription(subscription))
          )).pipe(Stream.map(() => world.snapshot)),
        sessionChanges: () => Stream.empty,
        events: Stream.fromPubSub(events),
        synchronize: Effect.void,
        prometheus: Effect.succeed("")
      }),
      snapshot: first,
      tick: Effect.asVoid(PubSub.publish(ticks, undefined)),
      emit: (event) => Effect.asVoid(PubSub.publish(events, event))
    }
    return world
  })
