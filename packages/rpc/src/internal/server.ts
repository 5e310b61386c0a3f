/**
 * The server's side of RPC over MQTT: takes requests in, hands them to Effect's `RpcServer`, and publishes its
 * responses. `MqttRpcServer` makes it. It decides nothing about values, and runs no handler.
 *
 * An instance of a client is one client of Effect's server as long as it is known.
 */
import type { Message } from "@effect-mqttx/core/Message"
import type { MqttError } from "@effect-mqttx/core/MqttError"
import * as Topic from "@effect-mqttx/core/Topic"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import type * as RpcMessage from "effect/rpc/RpcMessage"
import type { RpcSerialization } from "effect/rpc/RpcSerialization"
import type * as Scope from "effect/Scope"
import type { Frame } from "./assembly.ts"
import { ClientTable, type RemoteClient, type ServedCall } from "./clientTable.ts"
import type { Link } from "./link.ts"
import { decodeRequest, encodeMessage } from "./messages.ts"
import type { ServerOptions } from "./options.ts"
import { decode, type Heartbeat, type Part, type Refusal } from "./packets.ts"
import { Replies } from "./replies.ts"
import { Suspects } from "./suspects.ts"

export interface ServerParts {
  readonly link: Link
  readonly options: ServerOptions
  readonly serialization: RpcSerialization["Service"]
  readonly writeRequest: (client: number, request: RpcMessage.FromClientEncoded) => Effect.Effect<void>
  readonly disconnects: Queue.Queue<number>
  readonly scope: Scope.Scope
  /** The trace context that a message carries outside of its payload. */
  readonly traceOf: (message: Message) => Pick<RpcMessage.RequestEncoded, "traceId" | "spanId" | "sampled"> | undefined
}

export class Server {
  readonly #parts: ServerParts
  readonly #clients: ClientTable
  readonly #replies: Replies
  readonly #suspects: Suspects
  #isClosing = false

  constructor(parts: ServerParts) {
    this.#parts = parts
    const { disconnects, options, scope } = parts
    this.#clients = new ClientTable(options, scope, (number) => Queue.offerUnsafe(disconnects, number))
    this.#replies = new Replies(parts.link)
    this.#suspects = new Suspects(options.willGrace, scope)
  }

  get clientIds(): ReadonlySet<number> {
    return this.#clients.numbers
  }

  /** Takes a message of any subscription in. */
  receive(message: Message): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { link } = this.#parts
      const gone = link.topics.gone("clients", message.topic)
      if (gone !== undefined) return this.#suspects.suspect(gone, this.#clients.names, (name) => this.#gone(name))
      const packet = decode(message.payload)
      if (packet === undefined) return link.complain(message, "it is no packet of this protocol")
      const requester = link.topics.requester(message.topic)
      const { sender } = packet
      // Brokers limit clients by topics, so the topic says who it is.
      if (!message.topic.endsWith(`/${sender}`) || sender.split("/").length !== 2) {
        return link.complain(message, "it names another sender than its topic")
      }
      this.#suspects.clear(sender)
      switch (packet._tag) {
        case "Part":
          return requester === undefined ? this.#onPart(message, packet) : this.#onRequest(message, packet)
        case "Heartbeat":
          return this.#onHeartbeat(packet)
        case "Cancel":
          return this.#onCancel(sender, packet.call)
        case "Bye":
          return this.#gone(sender)
        default:
          return link.complain(message, "it is not for a server")
      }
    })
  }

  /** Publishes what Effect's server sends to a client. */
  send(number: number, response: RpcMessage.FromServerEncoded): Effect.Effect<void> {
    return Effect.suspend(() => {
      const client = this.#clients.numbered(number)
      if (client === undefined || this.#isClosing) return Effect.void
      switch (response._tag) {
        case "Chunk":
        case "Exit": {
          const call = client.running.get(response.requestId)
          return call === undefined ? Effect.void : this.#respond(call, response)
        }
        case "Defect":
        case "Request":
          return this.#notify(client, response)
        default:
          return Effect.void
      }
    })
  }

  /** Effect's server has ended a client. */
  end(number: number): Effect.Effect<void> {
    return Effect.sync(() => {
      const client = this.#clients.numbered(number)
      if (client !== undefined) this.#clients.forget(client)
    })
  }

  /** Says which calls there are, and ends those that their clients have not confirmed for too long. */
  get tick(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { link } = this.#parts
      const oldest = link.now() - Duration.toMillis(link.options.livenessTimeout)
      const late = this.#clients.busy.flatMap(({ calls }) => Array.from(calls.values())).filter(({ confirmedAt }) =>
        confirmedAt < oldest
      )
      return Effect.andThen(
        Effect.forEach(late, (call) => this.#refuse(call.client, call.number, "lost"), { discard: true }),
        this.beat
      )
    })
  }

  /** The heartbeats to all clients that have calls. */
  get beat(): Effect.Effect<void> {
    return Effect.suspend(() =>
      Effect.forEach(this.#clients.busy, (client) => this.#replies.beat(client), { discard: true })
    )
  }

  /** Takes leave of the clients that have calls. What Effect's server sends from now on is dropped. */
  get close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.#isClosing) return Effect.void
      this.#isClosing = true
      const { busy } = this.#clients
      return this.#parts.link.bye(
        Effect.forEach(busy, (client) => this.#replies.claim(client), { discard: true }),
        Array.from(new Set(busy.map(({ replyTopic }) => replyTopic)))
      )
    })
  }

  /** The messages of the session have ended: no client can be reached. */
  onEnd(error: MqttError | undefined): Effect.Effect<void> {
    return Effect.andThen(
      Effect.logError("RPC: the server receives no more requests", error ?? "the session has ended"),
      Effect.suspend(() =>
        Effect.forEach(Array.from(this.#clients.names), (name) => this.#gone(name), { discard: true })
      )
    )
  }

  #onRequest(message: Message, part: Part): Effect.Effect<void> {
    const { link } = this.#parts
    if (part.kind !== "request") return link.complain(message, "it is no request")
    const client = this.#clients.requester(part.sender, replyTopicOf(message) ?? link.topics.client(part.sender))
    if (client === undefined) return this.#replies.refuse(link.topics.client(part.sender), part.call, "overloaded")
    const known = client.calls.get(part.call)
    if (known !== undefined) return this.#accept(message, known, part)
    // A request that the broker delivers again.
    if (!client.seen.add(part.call)) return Effect.void
    if (this.#isClosing) return this.#replies.refuse(client.replyTopic, part.call, "closing")
    if (this.#clients.isFull) return this.#replies.refuse(client.replyTopic, part.call, "overloaded")
    const call = this.#clients.open(client, part.call, link.now())
    const accepting = this.#accept(message, call, part)
    return part.isLast ? accepting : Effect.andThen(
      accepting,
      Effect.suspend(() =>
        client.calls.has(call.number)
          ? link.tell(client.replyTopic, { _tag: "Accepted", sender: link.name, call: call.number })
          : Effect.void
      )
    )
  }

  #onPart(message: Message, part: Part): Effect.Effect<void> {
    const call = this.#clients.named(part.sender)?.calls.get(part.call)
    return call === undefined ? Effect.void : this.#accept(message, call, part)
  }

  #accept(message: Message, call: ServedCall, part: Part): Effect.Effect<void> {
    const taken = call.assembly.accept(part)
    if (taken === "duplicate") return Effect.void
    if (taken === "tooLarge" || taken === "overloaded") return this.#refuse(call.client, call.number, taken)
    call.confirmedAt = this.#parts.link.now()
    return Effect.forEach(taken, (frame) => this.#onFrame(message, call, frame), { discard: true })
  }

  #onFrame(message: Message, call: ServedCall, frame: Frame): Effect.Effect<void> {
    const { client } = call
    if (client.calls.get(call.number) !== call) return Effect.void
    if (call.id === undefined) {
      return frame.kind === "request"
        ? this.#start(message, call, frame)
        : this.#refuse(client, call.number, "malformed")
    }
    if (frame.kind !== "ack") return this.#refuse(client, call.number, "malformed")
    return this.#hand(call, 0, { _tag: "Ack", requestId: call.id })
  }

  #start(message: Message, call: ServedCall, { body }: Frame): Effect.Effect<void> {
    const { serialization, traceOf } = this.#parts
    const { client } = call
    const request = decodeRequest(serialization, body)
    if (request === undefined || client.running.has(request.id)) {
      return this.#refuse(client, call.number, "malformed")
    }
    const traced = request.spanId === undefined ? { ...request, ...traceOf(message) } : request
    if (request.isNotification === true) {
      // No answer ends it.
      return Effect.andThen(this.#hand(call, body.length, traced), Effect.sync(() => this.#clients.remove(call)))
    }
    call.id = request.id
    client.running.set(request.id, call)
    return this.#hand(call, body.length, traced)
  }

  /** Hands a message of a call to Effect's server, after those before it. */
  #hand(call: ServedCall, bytes: number, request: RpcMessage.FromClientEncoded): Effect.Effect<void> {
    const { writeRequest } = this.#parts
    const { client, number } = call
    const task = Effect.suspend(() => writeRequest(client.number, request)).pipe(
      Effect.catchCause((cause) =>
        Effect.andThen(Effect.logDebug("RPC: a request was refused", cause), this.#refuse(client, number, "malformed"))
      )
    )
    return Effect.flatMap(
      call.inbox.offer(bytes, task),
      (isTaken) => isTaken ? Effect.void : this.#refuse(client, number, "overloaded")
    )
  }

  #respond(
    call: ServedCall,
    response: RpcMessage.ResponseChunkEncoded | RpcMessage.ResponseExitEncoded
  ): Effect.Effect<void> {
    const { client } = call
    return Effect.suspend(() => {
      // A failure of the serialization is a defect, and Effect's server answers with it.
      const body = encodeMessage(this.#parts.serialization, response)
      if (body.length > this.#parts.options.maxMessageSize) {
        return this.#refuse(client, call.number, "responseTooLarge")
      }
      return Effect.catch(
        Effect.andThen(
          this.#replies.publish(client, "response", call, body),
          Effect.sync(() => {
            // Until here it is in the heartbeats, because the client waits for it.
            if (response._tag === "Exit") this.#clients.remove(call)
          })
        ),
        (error) =>
          Effect.andThen(
            Effect.logWarning("RPC: a response could not be published", error),
            this.#refuse(client, call.number, "lost")
          )
      )
    })
  }

  #notify(
    client: RemoteClient,
    notice: RpcMessage.ResponseDefectEncoded | RpcMessage.RequestEncoded
  ): Effect.Effect<void> {
    return Effect.suspend(() => {
      const body = encodeMessage(this.#parts.serialization, notice)
      const publishing = this.#replies.publish(client, "notice", { number: client.notices++, sent: 0 }, body)
      // A defect concerns the calls that the client knows to be here.
      return (notice._tag === "Defect" ? Effect.andThen(this.#replies.claim(client), publishing) : publishing).pipe(
        Effect.catch((error) => Effect.logWarning("RPC: a message to a client could not be published", error))
      )
    })
  }

  /** Ends a call, interrupts its handler, and tells the client why. */
  #refuse(client: RemoteClient, number: number, refusal: Refusal): Effect.Effect<void> {
    return Effect.suspend(() => {
      const call = client.calls.get(number)
      if (call !== undefined) this.#clients.remove(call)
      const told = this.#replies.refuse(client.replyTopic, number, refusal)
      return call === undefined ? told : Effect.andThen(told, this.#interrupt(call))
    })
  }

  /** Interrupts the handler of a call that was removed, so that its exit goes nowhere. */
  #interrupt({ client, id, inbox }: ServedCall): Effect.Effect<void> {
    if (id === undefined) return Effect.void
    const write = Effect.suspend(() => this.#parts.writeRequest(client.number, { _tag: "Interrupt", requestId: id }))
    return Effect.asVoid(inbox.offer(0, Effect.ignoreCause(write)))
  }

  #onCancel(sender: string, number: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      const client = this.#clients.named(sender)
      const call = client?.calls.get(number)
      if (call === undefined) {
        // Where it overtook the request, the request is not carried out.
        client?.seen.add(number)
        return Effect.void
      }
      this.#clients.remove(call)
      return this.#interrupt(call)
    })
  }

  #onHeartbeat({ calls, sender }: Heartbeat): Effect.Effect<void> {
    return Effect.sync(() => {
      const client = this.#clients.named(sender)
      if (client === undefined) return
      const now = this.#parts.link.now()
      for (const [number, sent] of calls) {
        const call = client.calls.get(number)
        // Where parts are missing, it is no confirmation: they are on their way, or lost.
        if (call?.assembly.received === sent) call.confirmedAt = now
      }
    })
  }

  /** A client does not exist any more: its handlers are interrupted. */
  #gone(name: string): Effect.Effect<void> {
    return Effect.sync(() => {
      const client = this.#clients.named(name)
      if (client !== undefined) this.#clients.forget(client)
    })
  }
}

/** The response topic of MQTT 5; undefined: there is none, or it is no topic name. */
const replyTopicOf = ({ properties: { responseTopic } }: Message): string | undefined =>
  responseTopic !== undefined && Result.isSuccess(Topic.validateName(responseTopic)) ? responseTopic : undefined
