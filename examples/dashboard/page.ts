/**
 * What runs in each tab of the dashboard: it shows the last temperature of each room and sends commands. All tabs share
 * one session, which is kept in IndexedDB. `server.ts` bundles this file for browsers.
 */
import { IndexedDbStore, SharedSession } from "@effect-mqttx/browser"
import { MqttSession } from "@effect-mqttx/core"
import { Effect, Layer, Stream } from "effect"

const element = (id: string): HTMLElement => document.getElementById(id)!

const session = MqttSession.makeDurable({
  name: "dashboard",
  // Each user needs one of its own: a server ends a session whose client identifier connects a second time.
  clientId: "dashboard-of-user-1",
  servers: [document.querySelector<HTMLMetaElement>("meta[name=broker]")!.content],
  keepAlive: "3 minutes"
})

const Shared = SharedSession.layer({ name: "dashboard", session }).pipe(Layer.provide(IndexedDbStore.layer()))

const cells = new Map<string, HTMLElement>()

/** The cell of a room, with a row of its own. */
const cellOf = (room: string): HTMLElement => {
  let cell = cells.get(room)
  if (cell === undefined) {
    const row = (element("rooms") as HTMLTableElement).insertRow()
    row.insertCell().textContent = room
    cell = row.insertCell()
    cell.id = `room-${room}`
    cells.set(room, cell)
  }
  return cell
}

const showTemperatures = Effect.gen(function*() {
  const { messages } = yield* SharedSession.SharedSession
  yield* Stream.runForEach(messages("rooms/+/temperature", { qos: 1 }), ({ text, topic }) =>
    Effect.sync(() => {
      cellOf(topic.split("/")[1]!).textContent = text
    }))
})

const showRole = Effect.gen(function*() {
  const { roleChanges } = yield* SharedSession.SharedSession
  yield* Stream.runForEach(roleChanges, (role) =>
    Effect.sync(() => {
      element("role").textContent = role
    }))
})

const form = element("command") as HTMLFormElement
// A stream sees the event too late to keep the browser from loading the page again.
form.addEventListener("submit", (event) => event.preventDefault())

const sendCommands = Effect.gen(function*() {
  const { publish } = yield* SharedSession.SharedSession
  yield* Stream.runForEach(Stream.fromEventListener(form, "submit"), () =>
    Effect.gen(function*() {
      const values = new FormData(form)
      const topic = `rooms/${String(values.get("room"))}/target`
      element("outcome").textContent = yield* publish(topic, String(values.get("target")), { qos: 1 }).pipe(
        Effect.as("the server has it"),
        Effect.catch((error) => Effect.succeed(error.message))
      )
    }))
})

Effect.all([showTemperatures, showRole, sendCommands], { concurrency: "unbounded", discard: true }).pipe(
  Effect.provide(Shared),
  Effect.catch((error) =>
    Effect.sync(() => {
      element("outcome").textContent = error.message
    })
  ),
  Effect.runFork
)
