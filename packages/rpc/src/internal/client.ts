/**
 * The client's side of RPC over MQTT: publishes requests, takes the responses of servers in, and fails calls that no
 * server answers. `MqttRpcClient` makes it, and Effect's `RpcClient` drives it. It decides nothing about values.
 *
 * The effect that sends a request runs until the call has ended, so that its failure is that of this call alone.
 */
import type { Message } from "@effect-mqttx/core/Message"
import { Closed, MqttError } from "@effect-mqttx/core/MqttError"
import type { MessageProperties } from "@effect-mqttx/core/Properties"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import type * as RpcMessage from "effect/rpc/RpcMessage"
import type { RpcSerialization } from "effect/rpc/RpcSerialization"
import type * as Scope from "effect/Scope"
import { Budget, type Frame } from "./assembly.ts"
import { type Call, ClientCalls } from "./clientCalls.ts"
import { failure, mqttFailure, refusalFailure } from "./failures.ts"
import type { Link } from "./link.ts"
import { decodeNotice, decodeResponse, encodeMessage } from "./messages.ts"
import { Notices } from "./notices.ts"
import { decode, type Heartbeat, type Part } from "./packets.ts"
import { publishRequest } from "./requestPublication.ts"
import { Suspects } from "./suspects.ts"

type WriteResponse = (client: number, response: RpcMessage.FromServerEncoded) => Effect.Effect<void>

export interface ClientParts {
  readonly link: Link
  readonly replyTopic: string
  readonly serialization: RpcSerialization["Service"]
  readonly writeResponse: WriteResponse
  readonly clientIds: ReadonlySet<number>
  readonly scope: Scope.Scope
}

export class Client {
  readonly #parts: ClientParts
  readonly #calls: ClientCalls
  readonly #notices: Notices
  readonly #suspects: Suspects
  readonly #properties: MessageProperties | undefined
  #failure: RpcClientError | undefined

  constructor(parts: ClientParts) {
    this.#parts = parts
    const { link: { options, session }, replyTopic, scope } = parts
    const budget = new Budget(options.maxBufferedBytes)
    this.#calls = new ClientCalls(budget, options.maxMessageSize, scope)
    this.#notices = new Notices(budget, options.maxMessageSize)
    this.#suspects = new Suspects(options.willGrace, scope)
    this.#properties = session.options.protocolVersion === 5
      ? {
        responseTopic: replyTopic,
        // A server that was away must not carry out what its client gave up long ago.
        messageExpiryInterval: Math.max(1, Math.ceil(Duration.toSeconds(options.livenessTimeout)))
      }
      : undefined
  }

  /** Sends what Effect's client sends. For a request: runs until the call has ended. */
  send(client: number, message: RpcMessage.FromClientEncoded): Effect.Effect<void, RpcClientError> {
    switch (message._tag) {
      case "Request":
        return this.#request(client, message)
      case "Ack":
        return Effect.suspend(() => {
          const call = this.#calls.withId(message.requestId)
          return call === undefined ? Effect.void : this.#acknowledge(call)
        })
      case "Interrupt":
        return Effect.suspend(() => {
          const call = this.#calls.withId(message.requestId)
          return call === undefined ? Effect.void : this.#abandon(call)
        })
      default:
        return Effect.void
    }
  }

  /** Takes a message on the topic of this client in. */
  receive(message: Message): Effect.Effect<void> {
    return Effect.suspend(() => {
      const packet = decode(message.payload)
      if (packet === undefined) return this.#parts.link.complain(message, "it is no packet of this protocol")
      this.#suspects.clear(packet.sender)
      switch (packet._tag) {
        case "Part":
          return packet.kind === "response"
            ? this.#onPart(packet)
            : packet.kind === "notice"
            ? this.#onNotice(message, packet)
            : this.#parts.link.complain(message, "it is not for a client")
        case "Cancel":
          return this.#parts.link.complain(message, "it is not for a client")
        case "Heartbeat":
          return this.#onHeartbeat(packet)
        case "Accepted":
          return this.#adopt(packet.call, packet.sender, true)
        case "Refused": {
          const call = this.#calls.of(packet.sender, packet.call)
          return call === undefined ? Effect.void : this.#calls.end(call, refusalFailure(packet.refusal))
        }
        case "Bye":
          return this.#gone(packet.sender, "the server has ended")
      }
    })
  }

  /** The will of the session of a server: its instances have the time of `willGrace` to show a sign of life. */
  onWill(clientId: string): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.#suspects.suspect(
        clientId,
        this.#calls.owners,
        (owner) => this.#gone(owner, "the connection of the server was lost, and it did not come back")
      )
    )
  }

  /** Says which calls there are, and fails those that no server has confirmed for too long. */
  get tick(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { options } = this.#parts.link
      const patience = Duration.toMillis(options.livenessTimeout)
      const oldest = this.#parts.link.now() - patience
      const late = this.#calls.all.filter(({ confirmedAt }) => confirmedAt < oldest)
      return Effect.andThen(
        Effect.forEach(late, (call) =>
          Effect.andThen(
            this.#cancel(call),
            this.#calls.end(call, failure("unanswered", true, `no server has confirmed the call for ${patience} ms`))
          ), { discard: true }),
        this.beat
      )
    })
  }

  /** The heartbeats to all servers that have calls. */
  get beat(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { link } = this.#parts
      return Effect.forEach(
        this.#calls.awaited,
        ([owner, calls]) => link.beat(link.topics.serverFrom(owner, link.name), calls),
        { discard: true }
      )
    })
  }

  /** Fails all calls, now and later. */
  fail(error: RpcClientError): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#failure ??= error
      return Effect.forEach(this.#calls.all, (call) => this.#calls.end(call, error), { discard: true })
    })
  }

  /** The messages of the session have ended. */
  onEnd(error: MqttError | undefined): Effect.Effect<void> {
    const { session } = this.#parts.link
    return this.fail(
      mqttFailure(error ?? new MqttError({ reason: new Closed({}), session: session.name, method: "rpc" }), true)
    )
  }

  /** Takes leave of the servers that have calls, and fails the calls. */
  get close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { link } = this.#parts
      const { owners } = this.#calls
      return Effect.andThen(
        this.fail(failure("closed", true, "the client has ended")),
        link.bye(Effect.void, Array.from(owners, (owner) => link.topics.serverFrom(owner, link.name)))
      )
    })
  }

  #request(client: number, message: RpcMessage.RequestEncoded): Effect.Effect<void, RpcClientError> {
    return Effect.suspend(() => {
      const { link, serialization } = this.#parts
      if (this.#failure !== undefined) return Effect.fail(this.#failure)
      if (this.#calls.withId(message.id) !== undefined) {
        return Effect.fail(failure("malformed", false, `another call has the identifier ${message.id}`))
      }
      const body = encodeMessage(serialization, message)
      const { maxMessageSize } = link.options
      if (body.length > maxMessageSize) {
        return Effect.fail(failure("tooLarge", false, `the request has ${body.length} bytes of ${maxMessageSize}`))
      }
      const call = this.#calls.open(message.id, client, link.now())
      const isNotification = message.isNotification === true
      return Effect.raceFirst(
        Deferred.await(call.outcome),
        Effect.andThen(publishRequest(link, call, body, this.#properties), isNotification ? Effect.void : Effect.never)
      ).pipe(
        // After an interruption the server is told, as soon as it is known which one it is.
        Effect.onInterrupt(() => this.#calls.has(call) ? this.#abandon(call) : Effect.void),
        Effect.ensuring(Effect.sync(() => {
          if (!call.isAbandoned) this.#calls.forget(call)
        }))
      )
    })
  }

  /** Asks the server of a call for the next chunk. */
  #acknowledge(call: Call): Effect.Effect<void> {
    const { link } = this.#parts
    const { number, owner } = call
    if (owner === undefined) return Effect.void
    return link.tell(link.topics.serverFrom(owner, link.name), acknowledgement(link.name, number, call.sent++))
  }

  /** Tells the server of a call, or all of them, that the caller does not wait any more. */
  #cancel({ number, owner }: Pick<Call, "number" | "owner">): Effect.Effect<void> {
    const { link } = this.#parts
    const topic = owner === undefined ? link.topics.cancelled(link.name) : link.topics.serverFrom(owner, link.name)
    return link.tell(topic, { _tag: "Cancel", sender: link.name, call: number })
  }

  #abandon(call: Call): Effect.Effect<void> {
    return Effect.suspend(() => {
      // Where the server is not known, the request may overtake what is sent now. Then it is sent again.
      this.#calls.abandon(call)
      return this.#cancel(call)
    })
  }

  /** A server shows that it has a call. */
  #adopt(number: number, owner: string, isConfirmed: boolean): Effect.Effect<void> {
    const call = this.#calls.of(owner, number)
    if (call === undefined) return Effect.void
    if (isConfirmed) call.confirmedAt = this.#parts.link.now()
    if (call.owner !== undefined) return Effect.void
    call.owner = owner
    Deferred.doneUnsafe(call.accepted, Effect.succeed(owner))
    return call.isAbandoned ? this.#abandon(call) : Effect.void
  }

  #onPart(part: Part): Effect.Effect<void> {
    const call = this.#calls.of(part.sender, part.call)
    if (call === undefined) return Effect.void
    const taken = call.assembly.accept(part)
    if (taken === "duplicate") return Effect.void
    return Effect.andThen(
      this.#adopt(part.call, part.sender, true),
      Effect.suspend(() => {
        if (!this.#calls.has(call)) return Effect.void
        if (taken === "tooLarge" || taken === "overloaded") {
          return this.#refuse(call, taken, `the response has more bytes than the client takes`)
        }
        return Effect.forEach(taken, (frame) => this.#onFrame(call, frame), { discard: true })
      })
    )
  }

  #onFrame(call: Call, { body, kind }: Frame): Effect.Effect<void> {
    const message = kind === "response" ? decodeResponse(this.#parts.serialization, body, call.id) : undefined
    if (message === undefined) return this.#refuse(call, "malformed", "the response cannot be read")
    const write = Effect.suspend(() => this.#parts.writeResponse(call.client, message)).pipe(
      Effect.catchCause(() => this.#refuse(call, "malformed", "the response cannot be read"))
    )
    const task = message._tag === "Chunk" ? write : Effect.suspend(() => {
      // Before the caller goes on: its end must not look like an interruption.
      this.#calls.forget(call)
      return Effect.andThen(write, this.#calls.end(call, undefined))
    })
    return Effect.flatMap(
      call.inbox.offer(body.length, task),
      (isTaken) => isTaken ? Effect.void : this.#refuse(call, "overloaded", "more responses wait than the client holds")
    )
  }

  #refuse(call: Call, kind: "malformed" | "tooLarge" | "overloaded", detail: string): Effect.Effect<void> {
    // To all servers: the one that sent it need not be the one that runs the handler.
    return Effect.andThen(
      this.#cancel({ number: call.number, owner: undefined }),
      this.#calls.end(call, failure(kind, true, detail))
    )
  }

  #onHeartbeat({ calls, sender }: Heartbeat): Effect.Effect<void> {
    return Effect.forEach(
      calls,
      ([number, sent]) =>
        // Where parts are missing, it is no confirmation: they are on their way, or lost.
        this.#adopt(number, sender, this.#calls.of(sender, number)?.assembly.received === sent),
      { discard: true }
    )
  }

  #onNotice(message: Message, part: Part): Effect.Effect<void> {
    const { link, serialization } = this.#parts
    const taken = this.#notices.accept(part)
    if (taken === "waiting") return Effect.void
    const notice = taken === "refused" ? undefined : decodeNotice(serialization, taken)
    if (notice === undefined) return link.complain(message, "it cannot be read")
    return notice._tag === "Defect" ? this.#onDefect(part.sender, notice) : this.#toAll(this.#parts.clientIds, notice)
  }

  /** A defect ends all calls that a client has with the server, as Effect's protocol has it. */
  #onDefect(server: string, defect: RpcMessage.ResponseDefectEncoded): Effect.Effect<void> {
    const calls = this.#calls.all.filter(({ isAbandoned, owner }) => owner === server && !isAbandoned)
    const clients = new Set(calls.map(({ client }) => client))
    return Effect.andThen(
      this.#toAll(clients, defect),
      // Effect's server goes on with the others.
      Effect.forEach(calls, (call) => Effect.andThen(this.#cancel(call), this.#calls.end(call, undefined)), {
        discard: true
      })
    )
  }

  #toAll(clients: ReadonlySet<number>, message: RpcMessage.FromServerEncoded): Effect.Effect<void> {
    return Effect.forEach(
      Array.from(clients),
      (client) => Effect.suspend(() => this.#parts.writeResponse(client, message)).pipe(Effect.ignoreCause),
      { discard: true }
    )
  }

  #gone(server: string, detail: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      const calls = this.#calls.all.filter(({ owner }) => owner === server)
      return Effect.forEach(calls, (call) => this.#calls.end(call, failure("serverGone", true, detail)), {
        discard: true
      })
    })
  }
}

const acknowledgement = (sender: string, call: number, sequence: number): Part => ({
  _tag: "Part",
  kind: "ack",
  sender,
  call,
  sequence,
  isLast: true,
  body: new Uint8Array(0)
})
