/**
 * Requests and answers with types on both sides: `tsc -b examples && node examples/dist/request-response.js`.
 *
 * A responder divides numbers, and fails with a typed failure for 0. Sessions on both versions of MQTT send it
 * requests. A request to all responders returns a stream of answers.
 */
import { MqttSession, PayloadCodec, RequestResponse } from "@effect-mqttx/core"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { NodeRuntime } from "@effect/platform-node"
import { Deferred, Effect, Schema, Stream } from "effect"

class DividedByZero extends Schema.TaggedError<DividedByZero>()("DividedByZero", { dividend: Schema.Finite }) {}

const divide = RequestResponse.template("calculators/:name/divide", {
  request: PayloadCodec.json(Schema.Struct({ dividend: Schema.Finite, divisor: Schema.Finite })),
  response: PayloadCodec.json(Schema.Finite),
  failure: PayloadCodec.json(DividedByZero)
})

/** Succeeds when the calculator answers. */
const calculator = Effect.fnUntraced(function*(session: MqttSession.Session) {
  const ready = yield* Deferred.make<void>()
  yield* divide.respond(
    session,
    ({ value: { dividend, divisor } }) =>
      divisor === 0 ? Effect.fail(new DividedByZero({ dividend })) : Effect.succeed(dividend / divisor),
    { via: "both", onSubscribed: Effect.asVoid(Deferred.succeed(ready, undefined)) }
  ).pipe(Effect.forkScoped)
  yield* Deferred.await(ready)
})

const program = Effect.gen(function*() {
  const session = (name: string, protocolVersion: 4 | 5) =>
    MqttSession.make({ name, servers: [ScriptedBroker.memoryUrl], protocolVersion })
  yield* calculator(yield* session("first", 5))
  yield* calculator(yield* session("second", 5))

  for (const protocolVersion of [5, 4] as const) {
    // It keeps the subscription to the answers from one request to the next.
    const requester = yield* RequestResponse.requester(yield* session(`asking-${protocolVersion}`, protocolVersion))
    const ask = (divisor: number) =>
      requester.request(divide, { name: "any" }, { dividend: 10, divisor }, { timeout: "2 seconds" })

    yield* Effect.log(`10 / 4 = ${yield* ask(4)}, by ${requester.responseTopic}`)
    yield* ask(0).pipe(
      Effect.catchTag("DividedByZero", ({ dividend }) => Effect.log(`${dividend} / 0 is no number`))
    )

    const answers = yield* requester.requestMany(divide, { name: "any" }, { dividend: 9, divisor: 3 }, { count: 2 })
      .pipe(
        Stream.filterMap((answer) => answer),
        Stream.runCollect
      )
    yield* Effect.log(`two calculators say ${answers.join(" and ")}`)
  }
})

// The broker is in the same process, and in memory.
NodeRuntime.runMain(program.pipe(Effect.scoped, Effect.provide(ScriptedBroker.layerMemory())))
