/**
 * Metrics whose snapshots and events a test decides, for what no broker could be brought to do on demand.
 */
import type { SessionEvent } from "@effect-mqttx/core/SessionEvent"
import { MqttMetrics } from "@effect-mqttx/metrics/MqttMetrics"
import type {
  ForwarderSnapshot,
  MetricsSnapshot,
  MqttSnapshot,
  SessionSnapshot
} from "@effect-mqttx/metrics/MqttSnapshot"
import { type Duration, Effect, Layer, PubSub, Stream } from "effect"

const noLatencies = { count: 0, total: 0, min: 0, max: 0, bounds: [1, 10, 100], buckets: [0, 0, 0, 0] }

export const figures = (given: Partial<MetricsSnapshot> = {}): MetricsSnapshot => ({
  uptime: 60_000,
  messagesSent: 0,
  messagesReceived: 0,
  messagesDelivered: 0,
  bytesSent: 0,
  bytesReceived: 0,
  messageRate: 0,
  averageMessageRate: 0,
  bytesRate: 0,
  published: { accepted: 0, acknowledged: 0, failed: {}, withdrawn: 0, pending: 0, refused: {} },
  acknowledgement: noLatencies,
  connections: 1,
  reconnects: 0,
  reconnectsByReason: {},
  errors: 0,
  errorsByReason: {},
  dropped: { dropOldest: 0, dropNewest: 0, latestPerTopic: 0, expired: 0, poison: 0, streamOverflow: 0, unclaimed: 0 },
  queuedMessages: 0,
  queuedBytes: 0,
  oldestQueuedAge: 0,
  inflight: 0,
  unacknowledged: 0,
  unclaimed: 0,
  subscriptions: 1,
  buffered: { messages: 0, highWater: 0 },
  memory: { inbound: 0, outbound: 0, limit: 0 },
  commits: { failures: 0, latency: noLatencies },
  handlers: { failures: 0, retries: 0, givenUp: 0, deadLettered: 0, failing: 0, oldestFailingAge: 0 },
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
  metrics: figures(),
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
  const { metrics = figures(), ...rest } = given
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
