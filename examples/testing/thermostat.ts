/**
 * Switches the heating of each room by its temperature, and off when a room has not told its temperature for a while.
 */
import { type MqttError, MqttSession, PayloadCodec, TopicTemplate } from "@effect-mqttx/core"
import { Duration, Effect, Fiber, Schema, type Scope } from "effect"

export const Reading = TopicTemplate.make(
  "rooms/:room/temperature",
  PayloadCodec.json(Schema.Struct({ celsius: Schema.Finite }))
)

export const Switch = TopicTemplate.make(
  "rooms/:room/heating/set",
  PayloadCodec.json(Schema.Struct({ on: Schema.Boolean }))
)

export interface Options {
  /** Degrees Celsius: on below, off above. */
  readonly target: number
  /** How long a room may be silent. Default ten minutes. */
  readonly silence?: Duration.Input
}

/** Runs until interrupted. */
export const run = ({ silence = "10 minutes", target }: Options): Effect.Effect<
  void,
  MqttError.MqttError,
  MqttSession.MqttSession | Scope.Scope
> =>
  Effect.gen(function*() {
    const session = yield* MqttSession.MqttSession
    const heating = new Map<string, boolean>()
    const timers = new Map<string, Fiber.Fiber<void>>()

    const set = Effect.fnUntraced(function*(room: string, on: boolean) {
      if (heating.get(room) === on) return
      yield* Switch.publish(session, { room }, { on }, { qos: 1 })
      heating.set(room, on)
    })

    // A handler that fails is called again with the same reading: nothing is lost while the server is away.
    yield* session.consume(
      Reading.filter,
      Reading.handler(({ params: { room }, value: { celsius } }) =>
        Effect.gen(function*() {
          yield* set(room, celsius < target)
          const timer = timers.get(room)
          if (timer !== undefined) yield* Fiber.interrupt(timer)
          const off = Effect.ignore(Effect.delay(set(room, false), Duration.fromInputUnsafe(silence)))
          timers.set(room, yield* Effect.forkScoped(off))
        })
      ),
      { qos: 1 }
    )
  })
