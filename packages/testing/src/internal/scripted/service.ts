/**
 * The Effect side of the scripted broker.
 */
import { ConnectionRefused, MqttError } from "@effect-mqttx/core/MqttError"
import type { Packet, Tag } from "@effect-mqttx/core/Packet"
import { toBytes } from "@effect-mqttx/core/Publication"
import * as ServerAddress from "@effect-mqttx/core/ServerAddress"
import * as Topic from "@effect-mqttx/core/Topic"
import type { ByteStream, Transport } from "@effect-mqttx/core/Transport"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { BrokerEndpoints } from "../../BrokerEndpoints.ts"
import type { RecordedPacket } from "../../PacketRecord.ts"
import type { ClientViolation, DeliveryOutcome, PublishedMessage } from "../broker/contract.ts"
import { type Check, mistakeIn, mistakeOf, orDie, requiredOf } from "../checks.ts"
import {
  argumentChecks,
  brokerChecks,
  cutChecks,
  cutterChecks,
  matchChecks,
  publishChecks,
  refusalChecks,
  releaseChecks,
  timesChecks
} from "./checks.ts"
import type { HubConnection } from "./connection.ts"
import type {
  CutOptions,
  ListenOptions,
  RecordedPacketOf,
  RecordMatch,
  RunningCutter,
  Service,
  Target
} from "./contract.ts"
import { makeCutter } from "./cutter.ts"
import { Hub } from "./hub.ts"
import type { Accept, Listening } from "./listening.ts"
import { makePair } from "./memoryNetwork.ts"
import { makeRandom } from "./random.ts"
import { makeRecorder, type Recorder } from "./recorder.ts"
import { makeRefusals, type Refusals } from "./refusals.ts"

const mebibyte = 1_048_576
// No deadline is slept for in one go: timers of the platform end at 24 days.
const longestSleep = 3_600_000

/**
 * A hub with its logs and its clock.
 */
export interface RunningHub {
  readonly hub: Hub
  readonly recorder: Recorder
  readonly refusals: Refusals
  readonly accept: Accept
  readonly published: Array<PublishedMessage>
  readonly deliveries: Array<DeliveryOutcome>
  readonly violations: Array<ClientViolation>
  readonly trackers: Map<number, Tracker>
  /** While the broker itself publishes: where the outcomes of that message go. */
  capture: Array<DeliveryOutcome> | undefined
  isAccepting: boolean
}

interface Tracker {
  readonly outcomes: Array<DeliveryOutcome>
  isSettled: boolean
}

const recordLimit = (record: boolean | number | undefined): number =>
  typeof record === "number" ? record : record === false ? 0 : Infinity

export const makeHub = (options: ListenOptions, method: string): Effect.Effect<RunningHub, never, Scope.Scope> =>
  Effect.gen(function*() {
    yield* orDie(() => mistakeOf(`ScriptedBroker.${method}`, options, brokerChecks))
    const clock = yield* Clock.Clock
    const wake = Latch.makeUnsafe(false)
    const random = makeRandom(options.seed ?? 1)
    const recorder = makeRecorder(recordLimit(options.record))
    const refusals = makeRefusals(options)
    const published: Array<PublishedMessage> = []
    const deliveries: Array<DeliveryOutcome> = []
    const violations: Array<ClientViolation> = []
    const trackers = new Map<number, Tracker>()
    const { maximumPendingBytes, record: _record, seed: _seed, users: _users, webSocket: _webSocket, ...core } = options
    const hub = new Hub({
      core: {
        ...core,
        authenticate: refusals.authenticate,
        authorizePublish: refusals.authorizePublish,
        authorizeSubscribe: refusals.authorizeSubscribe,
        onPublished: (message) => {
          recorder.append(published, message)
          options.onPublished?.(message)
        },
        onDelivery: (outcome) => {
          recorder.append(deliveries, outcome)
          if (running.capture !== undefined) running.capture.push(outcome)
          else if (trackers.size > 0) trackers.get(outcome.message.sequence)?.outcomes.push(outcome)
          options.onDelivery?.(outcome)
        },
        onPublicationSettled: ({ message }) => {
          const tracker = trackers.get(message.sequence)
          if (tracker === undefined) return
          tracker.isSettled = true
          trackers.delete(message.sequence)
        },
        onViolation: (violation) => {
          violations.push(violation)
          options.onViolation?.(violation)
        }
      },
      now: () => clock.currentTimeMillisUnsafe(),
      random,
      recorder,
      maximumPendingBytes: maximumPendingBytes ?? 16 * mebibyte,
      onDeadline: () => {
        wake.openUnsafe()
      }
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => hub.crash()))
    yield* Effect.forkScoped(watchTime(hub, clock, wake), { startImmediately: true })
    const running: RunningHub = {
      hub,
      recorder,
      refusals,
      accept: (stream, network) => running.isAccepting ? hub.accept(stream, network) : undefined,
      published,
      deliveries,
      violations,
      trackers,
      capture: undefined,
      isAccepting: true
    }
    return running
  })

/** Lets the hub do what is due, by the clock that the broker was made with. */
const watchTime = (hub: Hub, clock: Clock.Clock, wake: Latch.Latch): Effect.Effect<never> =>
  Effect.forever(
    Effect.suspend(() => {
      wake.closeUnsafe()
      const wait = hub.nextDeadline() - clock.currentTimeMillisUnsafe()
      return Effect.andThen(
        wait === Infinity
          ? wake.await
          : Effect.raceFirst(wake.await, Effect.sleep(Math.min(Math.max(Math.ceil(wait), 0), longestSleep))),
        Effect.sync(() => hub.tick())
      )
    }),
    { disableYield: true }
  )

/** See `ScriptedBroker.memoryUrl`. */
export const memoryUrl = "mqtt://memory.invalid:1883"

const memoryEndpoints: BrokerEndpoints = { url: memoryUrl, urls: { tcp: memoryUrl }, ports: {} }

const memoryTransport = (accept: Accept): Transport => ({
  open: (request, handlers) =>
    Effect.acquireRelease(
      Effect.suspend((): Effect.Effect<ByteStream, MqttError> => {
        const [client, server] = makePair()
        const accepted = accept(server, "memory")
        if (accepted === undefined) {
          const reason = new ConnectionRefused({
            server: ServerAddress.format(request.address),
            code: "ECONNREFUSED"
          })
          return Effect.fail(new MqttError({ reason }))
        }
        server.attach(accepted)
        client.attach(handlers)
        return Effect.succeed(client)
      }),
      (stream) => Effect.sync(() => stream.destroy())
    )
})

export const makeService = (running: RunningHub, listening: Listening | undefined): Effect.Effect<Service> =>
  Effect.sync(() => {
    const { deliveries, hub, published, recorder, refusals, trackers, violations } = running
    const now = (): number => hub.options.now()

    const awaitUntil = (check: () => boolean): Effect.Effect<void> =>
      Effect.callback<void>((resume) => {
        const stop = hub.waiters.when(check, () => resume(Effect.void))
        if (stop === undefined) return resume(Effect.void)
        return Effect.sync(stop)
      })

    /** Dies where an argument is none, or an option is not known. */
    const checked = <A>(
      method: string,
      given: { readonly [Name in keyof typeof argumentChecks]?: unknown },
      then: () => Effect.Effect<A>,
      options?: unknown,
      checks: { readonly [name: string]: Check } = {}
    ): Effect.Effect<A> =>
      Effect.suspend(() => {
        const name = `ScriptedBroker.${method}`
        const mistake = mistakeIn(name, given, argumentChecks) ?? mistakeOf(name, options, checks)
        return mistake === undefined ? then() : Effect.die(mistake)
      })

    const find = (target: Target): Effect.Effect<HubConnection> =>
      checked("connection", { target }, () => {
        const connection = hub.find(target)
        return connection === undefined
          ? Effect.die(new Error(`no connection of ${target} is open`))
          : Effect.succeed(connection)
      })

    const command = (act: () => void): Effect.Effect<void> =>
      Effect.sync(() => {
        act()
        hub.settle()
      })

    const onConnection = (target: Target, act: (connection: HubConnection) => void): Effect.Effect<void> =>
      Effect.flatMap(find(target), (connection) => command(() => act(connection)))

    const matching = (match: RecordMatch) => (record: RecordedPacket): boolean =>
      (match.direction === undefined || match.direction === record.direction) &&
      (match.packet === undefined || match.packet === record.packet._tag) &&
      (match.clientId === undefined || match.clientId === record.clientId) &&
      (match.connection === undefined || match.connection === record.connection) &&
      (match.where === undefined || match.where(record))

    const ofType =
      (direction: "received" | "sent") =>
      <T extends Tag>(tag: T, clientId?: string): ReadonlyArray<RecordedPacketOf<T>> =>
        recorder.packets().filter((record): record is RecordedPacketOf<T> =>
          record.direction === direction && record.packet._tag === tag &&
          (clientId === undefined || record.clientId === clientId)
        )

    const awaitPacket = <T extends Tag>(match: RecordMatch<T>): Effect.Effect<RecordedPacketOf<T>> =>
      checked("awaitPacket", {}, () => waitForPacket(match), match ?? null, matchChecks)

    const waitForPacket = <T extends Tag>(match: RecordMatch<T>): Effect.Effect<RecordedPacketOf<T>> =>
      Effect.callback<RecordedPacketOf<T>>((resume) => {
        const isMatch = matching(match)
        let missing = match.nth ?? 1
        const predicate = (record: RecordedPacket): boolean => isMatch(record) && --missing === 0
        const found = match.fromNow === true ? undefined : recorder.packets().find(predicate)
        if (found !== undefined) return resume(Effect.succeed(found as RecordedPacketOf<T>))
        const stop = recorder.wait({
          predicate,
          resume: (record) => hub.waiters.later(() => resume(Effect.succeed(record as RecordedPacketOf<T>)))
        })
        return Effect.sync(stop)
      })

    const cutEvery = ({ clientId, handshake, limit, packets, seed }: CutOptions): Effect.Effect<RunningCutter> =>
      Effect.sync(() => {
        const [minimum, maximum] = packets
        const cutter = makeCutter({
          seed,
          minimum,
          maximum,
          limit: limit ?? Infinity,
          handshake: handshake ?? false,
          clientId
        })
        hub.cutter = cutter
        return {
          cuts: cutter.cuts,
          awaitCuts: (count) => checked("awaitCuts", { count }, () => awaitUntil(() => cutter.cuts() >= count)),
          stop: Effect.sync(() => {
            if (hub.cutter === cutter) hub.cutter = undefined
          })
        }
      })

    const refuseNetwork = Effect.andThen(
      Effect.sync(() => {
        running.isAccepting = false
      }),
      listening?.suspend ?? Effect.void
    )
    const acceptNetwork = Effect.andThen(
      Effect.sync(() => {
        running.isAccepting = true
      }),
      listening?.resume ?? Effect.void
    )
    const crash = Effect.andThen(
      refuseNetwork,
      command(() => {
        // Without a journal nothing is left that could deliver what was published.
        if (hub.options.core.journal === undefined) {
          for (const tracker of trackers.values()) tracker.isSettled = true
          trackers.clear()
        }
        hub.crash()
      })
    )
    const start = Effect.andThen(command(() => hub.start()), acceptNetwork)

    const service: Service = {
      ...listening?.endpoints ?? memoryEndpoints,
      transport: memoryTransport(running.accept),

      get packets() {
        return recorder.packets()
      },
      received: ofType("received"),
      sent: ofType("sent"),
      awaitPacket,
      get connections() {
        return hub.connections.map((connection) => connection.view())
      },
      connection: (target) => hub.find(target)?.view(),
      awaitConnections: (count, clientId) =>
        checked(
          "awaitConnections",
          { count },
          () => awaitUntil(() => hub.accepted(clientId) >= count),
          { clientId },
          argumentChecks
        ),
      awaitNoConnections: awaitUntil(() => hub.connections.every((connection) => connection.closed)),
      awaitUntil: (condition) => checked("awaitUntil", { condition }, () => awaitUntil(condition)),
      published,
      deliveries,
      violations,
      get bytesReceived() {
        return hub.bytesReceived
      },
      get bytesSent() {
        return hub.bytesSent
      },
      clearRecord: Effect.sync(() => {
        recorder.clear()
        published.length = 0
        deliveries.length = 0
        violations.length = 0
      }),
      setRecord: (record) =>
        checked("setRecord", { record }, () => Effect.sync(() => recorder.setLimit(recordLimit(record)))),

      get sessions() {
        return hub.core?.sessions() ?? []
      },
      session: (clientId) => hub.core?.session(clientId),
      subscriptions: (clientId) => hub.core?.session(clientId)?.subscriptions ?? [],
      get retained() {
        return hub.core?.retained() ?? []
      },
      awaitIdle: awaitUntil(() => (hub.core?.outstandingConnected() ?? 0) === 0),

      publish: (topic, payload, options) =>
        checked(
          "publish",
          {},
          () => {
            if (hub.core === undefined) return Effect.die(new Error("the broker does not run"))
            const message = Result.all({ topic: Topic.validateName(topic), payload: toBytes(payload) })
            if (Result.isFailure(message)) {
              return Effect.die(new MqttError({ method: "ScriptedBroker.publish", reason: message.failure }))
            }
            const outcomes: Array<DeliveryOutcome> = []
            running.capture = outcomes
            const publication = hub.core.publish({ ...message.success, ...options }, now())
            running.capture = undefined
            const tracker: Tracker = { outcomes, isSettled: publication.outstanding === 0 }
            if (!tracker.isSettled) trackers.set(publication.message.sequence, tracker)
            hub.settle()
            return Effect.succeed({
              message: publication.message,
              deliveries: publication.deliveries,
              settled: Effect.as(awaitUntil(() => tracker.isSettled), outcomes)
            })
          },
          options,
          publishChecks
        ),
      sendPacket: (target: Target, packet: Packet) =>
        checked(
          "sendPacket",
          { packet },
          () => onConnection(target, (connection) => hub.sendPacket(connection, packet))
        ),
      sendRaw: (target, bytes) =>
        checked("sendRaw", { bytes }, () => onConnection(target, (connection) => hub.writeRaw(connection, bytes))),
      disconnect: (target, reasonCode = 0x8b) =>
        checked(
          "disconnect",
          { reasonCode },
          () => onConnection(target, (connection) => hub.core?.disconnect(connection.id, reasonCode, now()))
        ),
      setLimits: (limits) => checked("setLimits", { limits }, () => Effect.sync(() => hub.setLimits(limits))),
      forgetSession: (clientId) =>
        checked("forgetSession", { clientId }, () =>
          Effect.sync(() => {
            const known = hub.core?.forgetSession(clientId) ?? false
            hub.settle()
            return known
          })),

      inject: (fault) =>
        checked("inject", { fault: requiredOf(fault, "match", "action", "times") }, () =>
          Effect.sync(() => {
            const active = hub.inject(fault)
            return {
              hits: () => active.hits,
              awaitHits: (count = 1) => checked("awaitHits", { count }, () => awaitUntil(() => active.hits >= count)),
              remove: Effect.sync(() => hub.faults.remove(active))
            }
          })),
      clearFaults: Effect.sync(() => {
        hub.faults.clear()
        hub.cutter = undefined
      }),
      cut: (target, options) =>
        checked(
          "cut",
          {},
          () => onConnection(target, (connection) => hub.cut(connection, options?.reset ?? false)),
          options,
          cutChecks
        ),
      cutEvery: (options) =>
        checked("cutEvery", {}, () => cutEvery(options), requiredOf(options, "packets", "seed"), cutterChecks),
      release: (target, options) =>
        checked(
          "release",
          {},
          () =>
            Effect.map(find(target), (connection) => {
              const { count = Infinity, order = "original" } = options ?? {}
              const released = hub.release(connection, order, count, undefined)
              hub.settle()
              return released
            }),
          options,
          releaseChecks
        ),
      goSilent: (target) =>
        onConnection(target, (connection) => {
          connection.silent = true
        }),
      stopReading: (target) => onConnection(target, (connection) => connection.stream.pause()),
      resumeReading: (target) => onConnection(target, (connection) => connection.stream.resume()),
      refuseConnect: (reasonCode, options) =>
        checked(
          "refuseConnect",
          { reasonCode },
          () => Effect.sync(() => refusals.refuseConnect(reasonCode, options?.clientId, options?.times ?? Infinity)),
          options,
          refusalChecks
        ),
      refusePublish: (filter, reasonCode, options) =>
        checked(
          "refusePublish",
          { filter, reasonCode },
          () => Effect.sync(() => refusals.refusePublish(filter, reasonCode, options?.times ?? Infinity)),
          options,
          timesChecks
        ),
      refuseSubscribe: (filter, reasonCode, options) =>
        checked(
          "refuseSubscribe",
          { filter, reasonCode },
          () => Effect.sync(() => refusals.refuseSubscribe(filter, reasonCode, options?.times ?? Infinity)),
          options,
          timesChecks
        ),
      clearRefusals: Effect.sync(() => refusals.clear()),
      refuseNetwork,
      acceptNetwork,
      refuseNetworkFor: (duration) =>
        checked(
          "refuseNetworkFor",
          { duration },
          () => Effect.andThen(refuseNetwork, Effect.andThen(Effect.sleep(duration), acceptNetwork))
        ),
      crash,
      start,
      restart: Effect.andThen(crash, start)
    }
    return service
  })
