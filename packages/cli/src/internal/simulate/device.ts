/**
 * A simulated device: connects, publishes its messages at their intervals, and leaves and comes back if the fleet says
 * so. It has one message of each kind on its way, so a slow server slows it down.
 */
import type { Session } from "@effect-mqttx/core/MqttSession"
import type { SessionOptions } from "@effect-mqttx/core/SessionOptions"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { open } from "../connection.ts"
import type { CommandFailed } from "../failure.ts"
import type { Fleet, FleetMessage, Will } from "./fleet.ts"
import { payloadOf, withId } from "./payload.ts"

/** What the devices have done. */
export interface Counts {
  connected: number
  published: number
  failed: number
  reconnects: number
}

const encoder = new TextEncoder()

const optionsFor = (base: SessionOptions, { clientId, will }: Fleet, id: number): SessionOptions => ({
  ...base,
  name: `device-${id}`,
  clientId: withId(clientId, id),
  ...will !== undefined && {
    will: {
      ...resolved(will, id),
      payload: encoder.encode(withId(will.payload, id)),
      delay: Duration.zero,
      properties: {}
    }
  }
})

const resolved = ({ payload, topic, ...others }: Will, id: number) => ({
  ...others,
  topic: withId(topic, id),
  payload: withId(payload, id)
})

/** A publish that fails is counted: a fleet goes on. */
const counted = <E>(publish: Effect.Effect<unknown, E>, counts: Counts): Effect.Effect<void> =>
  Effect.map(Effect.result(publish), (outcome) => {
    if (Result.isSuccess(outcome)) counts.published++
    else counts.failed++
  })

const send = (session: Session, message: Will, id: number, counts: Counts): Effect.Effect<void> => {
  const { payload, qos, retain, topic } = resolved(message, id)
  return counted(session.publish(topic, payload, { qos, retain, timeout: "10 seconds" }), counts)
}

export class Device {
  readonly #fleet: Fleet
  readonly #options: SessionOptions
  readonly #id: number
  readonly #counts: Counts
  /** Messages of each kind so far, which last while the device is away. */
  readonly #published: Array<number>

  constructor(base: SessionOptions, fleet: Fleet, id: number, counts: Counts) {
    this.#fleet = fleet
    this.#options = optionsFor(base, fleet, id)
    this.#id = id
    this.#counts = counts
    this.#published = fleet.messages.map(() => 0)
  }

  /** Connects, for the lifetime of the scope. */
  get connect(): Effect.Effect<Session, CommandFailed, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.tap(open(this.#options), () =>
        Effect.sync(() => {
          this.#counts.connected++
        })),
      () =>
        Effect.sync(() => {
          this.#counts.connected--
        })
    )
  }

  /** Runs with a connection, and with further ones; never ends. */
  run(first: Session, leave: Effect.Effect<void>): Effect.Effect<never> {
    const { reconnects } = this.#fleet
    if (reconnects === undefined) return this.#work(first)
    const away = Effect.andThen(leave, Effect.sleep(reconnects.away))
    const again = Effect.scoped(Effect.flatMap(this.connect, (session) => {
      this.#counts.reconnects++
      return this.#stay(session)
    })).pipe(
      Effect.catch(() =>
        Effect.sync(() => {
          this.#counts.failed++
        })
      ),
      Effect.andThen(Effect.sleep(reconnects.away))
    )
    return this.#stay(first).pipe(Effect.andThen(away), Effect.andThen(Effect.forever(again)))
  }

  /** Works for a random time, half to one and a half of the average, and signs off. */
  #stay(session: Session): Effect.Effect<void> {
    const { reconnects, will } = this.#fleet
    const average = Duration.toMillis(reconnects!.every)
    return Random.nextBetween(average / 2, average * 1.5).pipe(
      Effect.flatMap((time) => Effect.timeoutOption(this.#work(session), time)),
      Effect.andThen(will === undefined ? Effect.void : send(session, will, this.#id, this.#counts))
    )
  }

  #work(session: Session): Effect.Effect<never> {
    const { birth, messages } = this.#fleet
    const kinds = messages.map((message, kind) => this.#repeat(session, message, kind))
    return Effect.andThen(
      birth === undefined ? Effect.void : send(session, birth, this.#id, this.#counts),
      Effect.andThen(Effect.all(kinds, { concurrency: "unbounded", discard: true }), Effect.never)
    )
  }

  #repeat(session: Session, message: FleetMessage, kind: number): Effect.Effect<never> {
    const { jitter, payload, qos, retain, topic } = message
    const interval = Duration.toMillis(message.interval)
    const place = withId(topic, this.#id)
    const pause = Effect.flatMap(
      Random.nextBetween(1 - jitter, 1 + jitter),
      (factor) => Effect.sleep(interval * factor)
    )
    const one = Effect.suspend(() => {
      const count = this.#published[kind]!
      this.#published[kind] = count + 1
      return payloadOf(payload, { id: this.#id, devices: this.#fleet.devices, count })
    }).pipe(
      Effect.flatMap((text) =>
        counted(session.publish(place, text, { qos, retain, timeout: "10 seconds" }), this.#counts)
      )
    )
    // Devices that start together must not publish together for ever.
    const first = Effect.flatMap(Random.nextBetween(0, interval), (millis) => Effect.sleep(millis))
    return Effect.andThen(first, Effect.forever(Effect.andThen(one, pause)))
  }
}
