/**
 * Several named sessions in one program: `tsc -b examples && node examples/dist/multi-session.js`.
 *
 * Sessions are added at the start and at run time, and receive by handlers and by streams. The program prints their
 * events, their status and their metrics. The broker is embedded; set MQTT_URL to use another one.
 */
import { type Message, RouteFilter, SessionManager, SessionOptions } from "@effect-mqttx/core"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Option, pipe, Stream } from "effect"

const show = (how: string) => (message: Message.Message) =>
  Effect.log(`${how}: ${message.session} got ${message.topic} = ${message.text}`)

const program = (url: string) =>
  Effect.gen(function*() {
    const manager = yield* SessionManager.SessionManager

    // Events: one stream of everything, and a stream of what one wants to know.
    yield* Effect.forkScoped(Stream.runForEach(
      manager.eventsOf({ type: ["Ready", "Disconnected", "Removed"] }),
      (event) => Effect.log(`event: ${event.session} ${event._tag}`)
    ))
    yield* Effect.forkScoped(Stream.runForEach(
      manager.eventsOf({ type: "StateChanged", session: "plant" }),
      ({ from, to }) => Effect.log(`event: plant went from ${from} to ${to}`)
    ))

    // Four ways to receive; the ones without "To" concern all sessions, also those that are added later.
    const hot = RouteFilter.predicate((message) => Number(message.text) > 80)
    const alarms = yield* manager.handle("sensors/+/temperature", show("handle"), { qos: 1, filter: hot })
    yield* manager.handleTo("plant", "commands/#", show("handleTo"), { qos: 1 })
    yield* Effect.forkScoped(Stream.runForEach(manager.listen("news/#"), show("listen")))
    yield* Effect.forkScoped(Stream.runForEach(manager.listenTo("cloud", "reports/#", { qos: 1 }), show("listenTo")))

    // A session of a program's own making, which connects in the background.
    yield* manager.add(pipe(
      SessionOptions.quickConnect("field", url),
      SessionOptions.withKeepAlive("60 seconds"),
      SessionOptions.withPersistence("process")
    ))
    yield* manager.awaitAllReady({ timeout: "30 seconds" })
    yield* Effect.forEach(yield* manager.routes, (route) => route.active, { discard: true })

    const field = yield* manager.get("field")
    yield* field.publish("sensors/room1/temperature", "23.5", { qos: 1 })
    yield* field.publish("sensors/boiler/temperature", "98.5", { qos: 1 })
    yield* manager.publishTo("cloud", "commands/stop", "now", { qos: 1 })
    yield* manager.publishTo("plant", "reports/daily", "all is well", { qos: 1 })
    yield* manager.publishToAll("news/hello", "good morning")
    yield* Effect.sleep("200 millis")

    for (const [name, { ready, server, state }] of yield* manager.statuses) {
      yield* Effect.log(`status: ${name} is ${state}${ready ? " and ready" : ""} at ${server}`)
    }
    const { delivered, dropped, received } = yield* alarms.metrics
    yield* Effect.log(`alarms: ${received} received, ${dropped} dropped, ${delivered} delivered`)
    const { bySession, totals } = yield* manager.metrics
    yield* Effect.log(
      `figures: ${totals.messagesSent} sent and ${totals.messagesReceived} received by ${bySession.size} sessions`
    )

    yield* manager.remove("field")
    yield* Effect.sleep("100 millis")
  })

const main = Effect.gen(function*() {
  const given = yield* Config.option(Config.String("MQTT_URL"))
  const url = Option.isSome(given) ? given.value : (yield* ScriptedBroker.make()).url
  const sessions = [SessionOptions.quickConnect("plant", url), SessionOptions.quickConnect("cloud", url)]
  yield* program(url).pipe(Effect.scoped, Effect.provide(SessionManager.layer({ sessions })))
})

NodeRuntime.runMain(Effect.scoped(main))
