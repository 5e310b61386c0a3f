/**
 * One end of an end-to-end run, in a process of its own: publishes or receives, with a session, MQTT.js or a bare
 * socket.
 */
import { MqttSession, type Publication } from "@effect-mqttx/core"
import { Effect, Scope, Stream } from "effect"
import * as mqtt from "mqtt"
import { cpuSince } from "../harness/child.ts"
import { WireClient } from "../wire.ts"
import { type EndReply, type EndRequest, filter, type RunRequest, topics } from "./contract.ts"

/** Messages that a publisher without a window of its own keeps on their way. */
const outstanding = 1000

/** Waits until a number of messages has arrived. */
class Arrivals {
  #count = 0
  #wanted = Infinity
  #reached: () => void = () => {}

  add(messages: number): void {
    this.#count += messages
    if (this.#count >= this.#wanted) this.#reached()
  }

  next(messages: number): Promise<void> {
    return new Promise((resolve) => {
      this.#wanted = messages
      this.#reached = () => {
        this.#count -= messages
        this.#wanted = Infinity
        resolve()
      }
      this.add(0)
    })
  }
}

/** Runs a number of messages to the end. */
type Run = (count: number) => Promise<void>

const clientId = (request: EndRequest): string => `bench-${request.role}-${process.pid}`

const openSession = (request: EndRequest): Promise<Run> => {
  const payload = new Uint8Array(request.payloadBytes).fill(0x61)
  const options = { qos: request.qos }
  const program = Effect.gen(function*() {
    const session = yield* MqttSession.make({
      name: clientId(request),
      servers: [request.url],
      protocolVersion: request.protocolVersion,
      ...(request.ca === undefined ? {} : { tls: { ca: request.ca } })
    })
    yield* session.awaitReady
    if (request.role === "receive") {
      const arrivals = new Arrivals()
      const subscription = yield* session.subscription(filter, { ...options, onOverflow: "suspend" })
      const count = Stream.runForEach(
        subscription.batches,
        (batch) => Effect.sync(() => arrivals.add(batch.length))
      )
      yield* Effect.forkScoped(count)
      return (count: number) => arrivals.next(count)
    }
    return (count: number) => {
      const messages = function*(): Generator<Publication.OutgoingMessage> {
        for (let i = 0; i < count; i++) yield { topic: topics[i % topics.length]!, payload, options }
      }
      return Effect.runPromise(Effect.asVoid(session.publishAll(Stream.fromIterable(messages()))))
    }
  })
  return Effect.runPromise(Scope.provide(program, Scope.makeUnsafe()))
}

const openRaw = async (request: EndRequest): Promise<Run> => {
  const options = { qos: request.qos } as const
  const client = await mqtt.connectAsync(request.url, {
    protocolVersion: request.protocolVersion,
    clientId: clientId(request),
    ...(request.ca === undefined ? {} : { ca: request.ca })
  })
  if (request.role === "receive") {
    const arrivals = new Arrivals()
    client.on("message", () => arrivals.add(1))
    await client.subscribeAsync(filter, options)
    return (count) => arrivals.next(count)
  }
  const payload = Buffer.alloc(request.payloadBytes, 0x61)
  if (request.qos === 0) {
    // The fastest way to publish at QoS 0: nothing awaits a message, and the socket bounds the memory.
    return async (count) => {
      for (let i = 0; i < count; i++) {
        client.publish(topics[i % topics.length]!, payload, options)
        if (i % 100 === 99) await drained(client)
      }
      while (client.stream.writableLength > 0) await drained(client)
    }
  }
  return async (count) => {
    let next = 0
    const publisher = async (): Promise<void> => {
      while (next < count) await client.publishAsync(topics[next++ % topics.length]!, payload, options)
    }
    await Promise.all(Array.from({ length: outstanding }, publisher))
  }
}

const drained = (client: mqtt.MqttClient): Promise<void> =>
  new Promise((resolve) => {
    if (client.stream.writableNeedDrain) client.stream.once("drain", resolve)
    else setImmediate(resolve)
  })

const openSocket = async (request: EndRequest): Promise<Run> => {
  const client = await WireClient.open({ ...request, clientId: clientId(request), topics })
  if (request.role === "receive") {
    const arrivals = new Arrivals()
    let seen = 0
    client.onRead = () => {
      arrivals.add(client.received - seen)
      seen = client.received
    }
    await client.subscribe(filter)
    return (count) => arrivals.next(count)
  }
  if (request.qos === 0) {
    return async (count) => {
      for (let left = count; left > 0; left -= client.ringSize) {
        client.send(Math.min(left, client.ringSize))
        await client.drained()
      }
      while (client.pendingBytes > 0) await client.drained()
    }
  }
  return (count) =>
    new Promise((resolve) => {
      const last = client.sent + count
      const more = (): void => {
        if (client.settled >= last) return resolve()
        const due = Math.min(last - client.sent, outstanding - (client.sent - client.settled))
        if (due > 0) client.send(due)
      }
      client.onRead = more
      more()
    })
}

const reply = (message: EndReply): void => {
  process.send!(message)
}

const request = JSON.parse(process.argv[2]!) as EndRequest
const open = { session: openSession, raw: openRaw, socket: openSocket }[request.client]

process.on("disconnect", () => process.exit(0))
const run = await open(request)
process.on("message", ({ count }: RunRequest) => {
  const before = process.cpuUsage()
  run(count).then(
    () => reply({ _tag: "Done", cpu: cpuSince(before) }),
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    }
  )
})
reply({ _tag: "Ready" })
