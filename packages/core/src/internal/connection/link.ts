/**
 * One connection from CONNECT to its end: handles bytes and packets synchronously, from the network's callback.
 *
 * The codec frames and validates every inbound packet. The handshake (`handshake.ts`) judges AUTH and all packets
 * before CONNACK. Every packet except AUTH goes to the owner in wire order. Time limits and the keep alive fiber are in
 * `connection.ts`.
 *
 * A link is `opening` until CONNACK, `open`, then `closing` (its last bytes are being sent and input is ignored), then
 * `closed`. Only the first reason that ends it counts.
 */
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Exchange } from "../../Authentication.ts"
import { CredentialsError } from "../../Credentials.ts"
import {
  Closed,
  ConnectionLost,
  CredentialsFailed,
  MqttError,
  type MqttErrorReason,
  ProtocolViolation,
  Timeout,
  Unexpected
} from "../../MqttError.ts"
import { type Auth, type Connack, type Disconnect, type Packet, pingreq } from "../../Packet.ts"
import * as ReasonCode from "../../ReasonCode.ts"
import * as ServerAddress from "../../ServerAddress.ts"
import type { ByteStream, ByteStreamHandlers } from "../../Transport.ts"
import { type Attempt, fromDisconnect, fromNetworkError, fromSilentEnd, fromViolation } from "../classification.ts"
import type { EncodeFailure, Violation } from "../codec/contract.ts"
import { makeDecoder } from "../codec/decoder.ts"
import { Authenticating, type AuthenticatingHost } from "./authenticating.ts"
import type {
  Connection,
  ConnectionCounters,
  ConnectionHandlers,
  ConnectionRequest,
  NotSent,
  SendResult
} from "./contract.ts"
import * as Disconnecting from "./disconnect.ts"
import * as Handshake from "./handshake.ts"
import { Intake, type IntakeHandlers, packetsPerCall, PauseReason } from "./intake.ts"
import { Sender, type SenderHandlers } from "./sender.ts"
import type { Observed } from "./watch.ts"

type Phase = "opening" | "open" | "closing" | "closed"

// Maximum size of CONNACK in bytes. Servers send a few hundred; a long reason string and some hundred user properties
// fit.
const maximumConnackSize = 65_536

const sent: SendResult = { _tag: "Sent" }
const congested: SendResult = { _tag: "Congested" }

const notSent = (sent: number, failure?: EncodeFailure): NotSent => ({ _tag: "NotSent", sent, failure })

/**
 * The effects that a link needs from `connection.ts`.
 */
export interface LinkRuntime {
  /** Starts the watch over the peer, with this keep alive in seconds. The link interrupts the fiber at its end. */
  readonly watch: (keepAlive: number) => Fiber.Fiber<void>
  /** The link has begun to close by itself and waits for the peer. The callee must bound this wait. */
  readonly onClosing: () => void
  /** Runs an effect of the program. The link interrupts it at its end. */
  readonly run: <A, E>(effect: Effect.Effect<A, E>, onExit: (exit: Exit.Exit<A, E>) => void) => Fiber.Fiber<A, E>
  /** A handler threw an exception that cannot be handled otherwise. */
  readonly onDefect: (cause: unknown) => void
}

/**
 * The state of one connection. A class, because a program may have thousands of idle connections.
 */
export class Link implements AuthenticatingHost, Connection, IntakeHandlers, Observed, SenderHandlers {
  /** Succeeds when CONNACK has accepted; fails when the link is closed before that. */
  readonly accepted: Deferred.Deferred<void, MqttError> = Deferred.makeUnsafe()
  /** The link is closed. */
  readonly gone: Deferred.Deferred<void> = Deferred.makeUnsafe()
  readonly counters: { -readonly [K in keyof ConnectionCounters]: number } = {
    bytesSent: 0,
    bytesReceived: 0,
    packetsSent: 0,
    packetsReceived: 0
  }
  lastSent: number
  lastReceived: number

  readonly #request: ConnectionRequest
  readonly #handlers: ConnectionHandlers
  readonly #clock: Clock.Clock
  readonly #runtime: LinkRuntime
  readonly #attempt: Attempt
  readonly #intake: Intake
  readonly #sender: Sender
  #phase: Phase = "opening"
  #announced = false
  #reason: MqttErrorReason | undefined
  #stream: ByteStream | undefined
  #connack: Connack | undefined
  #watch: Fiber.Fiber<void> | undefined
  readonly #authenticating: Authenticating | undefined
  #exchange: Fiber.Fiber<unknown, unknown> | undefined
  #renewal: Deferred.Deferred<void, MqttError> | undefined
  /** CONNACK and what came with it, while the exchange checks the server's data. */
  #held: Array<Packet> | undefined
  #isVerifying = false
  #isVerified = false

  constructor(request: ConnectionRequest, handlers: ConnectionHandlers, clock: Clock.Clock, runtime: LinkRuntime) {
    const { address, connect } = request
    this.#request = request
    this.#handlers = handlers
    this.#clock = clock
    this.#runtime = runtime
    this.#attempt = {
      protocolVersion: connect.protocolVersion,
      clientId: connect.clientId,
      server: ServerAddress.format(address)
    }
    const decoder = makeDecoder({
      role: "client",
      protocolVersion: connect.protocolVersion,
      maximumPacketSize: request.maximumPacketSize,
      maximumConnackSize,
      packetsPerCall,
      ownsChunks: true
    })
    this.#intake = new Intake(decoder, this)
    this.#sender = new Sender(connect.protocolVersion, this.counters, this)
    this.#authenticating = request.exchange === undefined
      ? undefined
      : new Authenticating(connect, request.exchange, this)
    this.lastSent = this.lastReceived = this.now()
  }

  /** The accepting CONNACK. Only valid after `accepted`. */
  get connack(): Connack {
    return this.#connack!
  }

  get keepAlive(): number {
    return this.#connack?.properties.serverKeepAlive ?? this.#request.connect.keepAlive
  }

  /** Milliseconds of the monotonic clock. */
  now(): number {
    return Number(this.#clock.monotonicTimeNanosUnsafe()) / 1_000_000
  }

  get bytesSent(): number {
    return this.counters.bytesSent
  }

  get pendingBytes(): number {
    return this.#sender.pendingBytes
  }

  get isOpen(): boolean {
    return this.#phase === "open"
  }

  get paused(): boolean {
    return this.#intake.isPaused
  }

  /** The callbacks for the transport. It may call early: before `start` only the end of the stream counts. */
  readonly streamHandlers: ByteStreamHandlers = {
    onData: (bytes) => this.#receive(bytes),
    onDrain: () => this.#drained(),
    onClose: (cause) => this.#streamClosed(cause)
  }

  // Callbacks of the intake. Methods, because closures per connection would be most of its memory.

  onPackets(packets: Array<Packet>): void {
    this.counters.packetsReceived += packets.length
    this.#dispatch(packets)
  }

  onViolation({ detail, reasonCode }: Violation): void {
    this.#violate(reasonCode, detail)
  }

  onDefect(cause: unknown): void {
    this.#crash("inbound packets could not be handled", cause)
  }

  // Callbacks of the sender.

  onClosed(): void {
    this.#beginClosing(undefined)
  }

  onFailure(cause: unknown): void {
    this.#beginClosing(fromNetworkError(cause, "connected", this.#attempt.server))
    queueMicrotask(() => this.#destroy())
  }

  onUnread(): void {
    this.#intake.pause(PauseReason.answers)
  }

  // Callbacks of the authentication.

  sendAuth(packet: Auth): void {
    if (this.#phase === "opening" || this.#phase === "open") {
      const failure = this.#sender.encode(packet)
      if (failure !== undefined) {
        return this.refuse(new CredentialsFailed({ detail: failure.detail, isTransient: false }))
      }
      this.counters.packetsSent++
      this.lastSent = this.now()
      this.#sender.flush()
    }
  }

  violate(reasonCode: number, detail: string): void {
    this.#violate(reasonCode, detail)
  }

  refuse(reason: MqttErrorReason): void {
    this.#abort(ReasonCode.implementationSpecificError, reason)
  }

  run<A>(
    effect: Effect.Effect<A, CredentialsError>,
    onExit: (exit: Exit.Exit<A, MqttErrorReason>) => void
  ): void {
    this.#exchange = this.#runtime.run(
      Effect.mapError(Effect.catchDefect(effect, credentialsDied), asReason),
      (exit) => {
        this.#exchange = undefined
        if (this.#phase === "opening" || this.#phase === "open") {
          onExit(exit)
        }
      }
    )
  }

  /** Encodes CONNECT, which `start` sends. Answers why it cannot be encoded; undefined: it can. */
  prepare(): string | undefined {
    return this.#sender.encode(this.#request.connect)?.detail
  }

  /** Takes the open stream and sends CONNECT. */
  start(stream: ByteStream): void {
    this.#stream = stream
    if (this.#phase !== "opening") {
      stream.destroy()
      return
    }
    this.#intake.attach(stream)
    this.#sender.attach(stream)
    this.counters.packetsSent++
    this.lastSent = this.lastReceived = this.now()
    this.#sender.flush()
  }

  /** Starts the watch, which sends PINGREQ and detects a peer that is gone. */
  watch(): void {
    this.#watch = this.#runtime.watch(this.keepAlive)
  }

  /** The owner has the connection from here on, and gets its end. Answers the reason when it has ended meanwhile. */
  announce(): MqttErrorReason | undefined {
    if (this.#phase === "closed") {
      return this.#reason
    }
    this.#announced = true
    return undefined
  }

  /** No callback reports the end: the owner never got the connection. */
  silence(): void {
    this.#announced = false
  }

  send(packets: ReadonlyArray<Packet>): SendResult {
    if (this.#phase !== "open") {
      return notSent(0)
    }
    const { count, failure, isComplete } = this.#sender.send(packets)
    this.lastSent = this.now()
    if (isComplete) {
      return this.#sender.isCongested ? congested : sent
    }
    if (failure !== undefined) {
      this.#beginClosing(new Unexpected({ detail: `cannot encode ${failure.packet}: ${failure.detail}` }))
      queueMicrotask(() => this.#break(ReasonCode.implementationSpecificError))
    }
    return notSent(count, failure)
  }

  reauthenticate(exchange: Exchange): Effect.Effect<void, MqttError> {
    return Effect.suspend(() => {
      const authenticating = this.#authenticating
      if (this.#phase !== "open" || authenticating === undefined || this.#renewal !== undefined) {
        const reason = this.#phase === "open"
          ? new CredentialsFailed({ detail: "the connection cannot authenticate again now" })
          : this.#reason ?? new Closed()
        return Effect.fail(new MqttError({ reason, session: this.#request.session }))
      }
      const millis = this.#request.connectTimeout
      const renewal = this.#renewal = Deferred.makeUnsafe<void, MqttError>()
      authenticating.renew(exchange, renewal)
      return Deferred.await(renewal).pipe(
        Effect.timeoutOrElse({
          duration: millis,
          orElse: () => {
            this.destroy(new Timeout({ operation: "authentication", millis }))
            return Deferred.await(renewal)
          }
        }),
        Effect.ensuring(Effect.sync(() => {
          this.#renewal = undefined
        }))
      )
    })
  }

  ping(): void {
    this.send([pingreq])
  }

  pause(): void {
    if (this.#phase === "open") {
      this.#intake.pause(PauseReason.owner)
    }
  }

  resume(): void {
    this.#resume(PauseReason.owner)
  }

  close(reasonCode: number, sessionExpiryInterval?: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#disconnect(reasonCode, sessionExpiryInterval)
      return Deferred.await(this.gone)
    })
  }

  /** Begins the orderly end: DISCONNECT after the pending bytes, then the end of the stream. */
  #disconnect(reasonCode: number, sessionExpiryInterval: number | undefined): void {
    if (this.#phase !== "open") {
      return
    }
    this.#beginClosing(new Closed())
    this.#endStream(Disconnecting.ofLeaving(this.#request.connect, this.connack, reasonCode, sessionExpiryInterval))
  }

  /** The peer is presumably gone. */
  lose(reasonString: string): void {
    this.destroy(new ConnectionLost({ reasonString, code: "ETIMEDOUT" }))
  }

  /** Closes at once. Unsent bytes are lost. */
  destroy(reason: MqttErrorReason): void {
    this.#reason ??= reason
    this.#destroy()
  }

  /** The link is closing, and the stream did not end in time. */
  giveUp(): void {
    this.#stream?.destroy()
    this.#streamClosed(undefined)
  }

  #destroy(): void {
    this.#stream?.destroy()
    this.#close()
  }

  #receive(bytes: Uint8Array): void {
    if (this.#phase !== "opening" && this.#phase !== "open") {
      return
    }
    if (this.#stream === undefined) {
      this.destroy(new ProtocolViolation({ reasonCode: ReasonCode.protocolError, detail: "bytes before CONNECT" }))
      return
    }
    this.lastReceived = this.now()
    this.counters.bytesReceived += bytes.length
    this.#intake.take(bytes)
  }

  #resume(reason: PauseReason): void {
    const wasPaused = this.paused
    // Before the stream resumes, because it may hand over bytes at once.
    if (wasPaused) {
      this.lastReceived = this.now()
    }
    this.#intake.resume(reason)
  }

  #dispatch(packets: Array<Packet>): void {
    if (this.#phase === "open") {
      // One check per packet: there is almost never a packet to remove, and then the array is passed on unchanged.
      let index = 0
      while (index < packets.length && !isSpecial(packets[index]!)) {
        index++
      }
      if (index === packets.length) {
        this.#deliver(packets)
        return
      }
    }
    this.#dispatchEach(packets)
  }

  #dispatchEach(packets: ReadonlyArray<Packet>): void {
    if (this.#held !== undefined) {
      this.#held.push(...packets)
      return
    }
    let batch: Array<Packet> = []
    for (let index = 0; index < packets.length; index++) {
      const packet = packets[index]!
      if (this.#phase === "opening") {
        if (this.#accepts(packet)) {
          batch.push(packet)
        } else if (this.#isVerifying) {
          this.#held = packets.slice(index)
          return
        }
      } else if (!isSpecial(packet)) {
        batch.push(packet)
      } else {
        if (packet._tag === "Disconnect") {
          batch.push(packet)
        }
        this.#deliver(batch)
        batch = []
        this.#onSpecial(packet)
      }
      if (this.#phase === "closing" || this.#phase === "closed") {
        return
      }
    }
    this.#deliver(batch)
    if (this.#phase === "open") {
      // Only the first time: the owner gets CONNACK, and the packets that came with it, before `open` succeeds.
      Deferred.doneUnsafe(this.accepted, Exit.void)
    }
  }

  #deliver(packets: ReadonlyArray<Packet>): void {
    if (packets.length === 0) {
      return
    }
    let violation: Violation | undefined
    try {
      violation = this.#handlers.onPackets(packets)
    } catch (cause) {
      this.#crash("the handler of inbound packets failed", cause)
      return
    }
    if (violation !== undefined) {
      this.#violate(violation.reasonCode, violation.detail)
    }
  }

  /** Handles packets before the accepting CONNACK. Answers whether this packet is that CONNACK. */
  #accepts(packet: Packet): boolean {
    const step = Handshake.beforeConnack(packet, this.#request.connect, this.#attempt)
    switch (step._tag) {
      case "Accepted":
        if (this.#authenticating !== undefined && !this.#isVerified) {
          return this.#verify(this.#authenticating, step.connack)
        }
        this.#phase = "open"
        this.#connack = step.connack
        return true
      case "Continue":
      case "Renewed":
        this.#onAuth(packet as Auth)
        return false
      case "Refused":
        this.destroy(step.reason)
        return false
      case "Breach":
        this.#violate(step.reasonCode, step.detail)
        return false
    }
  }

  /** Answers whether CONNACK is accepted already. Otherwise it waits for the check of the server's data. */
  #verify(authenticating: Authenticating, connack: Connack): boolean {
    authenticating.onConnack(connack, () => {
      this.#isVerified = true
      this.#isVerifying = false
      const held = this.#held
      this.#held = undefined
      if (held !== undefined) {
        this.#intake.resume(PauseReason.authentication)
        this.#dispatchEach(held)
      }
    })
    if (this.#isVerified) {
      this.#phase = "open"
      this.#connack = connack
      return true
    }
    if (this.#phase === "opening") {
      this.#isVerifying = true
      this.#intake.pause(PauseReason.authentication)
    }
    return false
  }

  #onAuth(packet: Auth): void {
    if (this.#authenticating === undefined) {
      return this.#violate(ReasonCode.protocolError, "AUTH without an authentication method in CONNECT")
    }
    this.#authenticating.onAuth(packet, this.#phase === "open")
  }

  #onSpecial(packet: Connack | Auth | Disconnect): void {
    // The owner's answer to earlier packets may have ended the link.
    if (this.#phase !== "open") {
      return
    }
    switch (packet._tag) {
      case "Connack":
        return this.#violate(ReasonCode.protocolError, "a second CONNACK")
      case "Auth":
        return this.#onAuth(packet)
      case "Disconnect":
        return this.destroy(fromDisconnect(packet.reasonCode, this.#attempt, packet.properties))
    }
  }

  #drained(): void {
    const wasCongested = this.#sender.drained()
    this.#resume(PauseReason.answers)
    if (wasCongested && this.#phase === "open") {
      try {
        this.#handlers.onWritable()
      } catch (cause) {
        this.#crash("the handler of the writable connection failed", cause)
      }
    }
  }

  #streamClosed(cause: unknown): void {
    if (this.#reason === undefined) {
      if (cause !== undefined) {
        this.#reason = fromNetworkError(
          cause,
          this.#connack === undefined ? "connect" : "connected",
          this.#attempt.server
        )
      } else if (this.#connack === undefined) {
        this.#reason = fromSilentEnd(this.#attempt)
      } else {
        this.#reason = new ConnectionLost({ reasonString: "the server closed it" })
      }
    }
    this.#close()
  }

  /** The peer violated the protocol (MQTT 4.13). */
  #violate(reasonCode: number, detail: string): void {
    this.#abort(reasonCode, fromViolation(reasonCode, detail, this.#attempt))
  }

  /** This client cannot continue. */
  #crash(detail: string, cause: unknown): void {
    this.#abort(ReasonCode.implementationSpecificError, new Unexpected({ detail, cause }))
  }

  /** Sends DISCONNECT with a reason code on MQTT 5, and ends the stream on both versions. */
  #abort(reasonCode: number, reason: MqttErrorReason): void {
    if (this.#phase === "closing" || this.#phase === "closed") {
      return
    }
    this.#beginClosing(reason)
    this.#break(reasonCode)
  }

  #break(reasonCode: number): void {
    this.#endStream(Disconnecting.ofBreaking(this.#request.connect, reasonCode))
  }

  #endStream(disconnect: Disconnect | undefined): void {
    if (disconnect !== undefined) {
      if (this.#sender.encode(disconnect) !== undefined) {
        // DISCONNECT does not define this code.
        this.#sender.encode({ ...disconnect, reasonCode: ReasonCode.protocolError })
      }
      if (this.#sender.flush() === undefined) {
        this.counters.packetsSent++
      }
    }
    this.#stream?.end()
  }

  #beginClosing(reason: MqttErrorReason | undefined): void {
    if (this.#phase === "closing") {
      return
    }
    this.#phase = "closing"
    this.#reason ??= reason
    this.#intake.stop()
    this.#runtime.onClosing()
  }

  #close(): void {
    if (this.#phase === "closed") {
      return
    }
    this.#phase = "closed"
    this.#intake.stop()
    this.#sender.stop()
    this.#watch?.interruptUnsafe()
    this.#exchange?.interruptUnsafe()
    this.#handlers.onGone?.(this.counters)
    const error = new MqttError({ reason: this.#reason ?? new Closed(), session: this.#request.session })
    // The owner first, because completing a Deferred runs the waiting fibers at once.
    if (this.#announced) {
      this.#announced = false
      try {
        this.#handlers.onClosed(error)
      } catch (cause) {
        this.#runtime.onDefect(cause)
      }
    }
    Deferred.doneUnsafe(this.accepted, Exit.fail(error))
    if (this.#renewal !== undefined) {
      Deferred.doneUnsafe(this.#renewal, Exit.fail(error))
    }
    Deferred.doneUnsafe(this.gone, Exit.void)
  }
}

const isSpecial = (packet: Packet): packet is Connack | Auth | Disconnect => {
  switch (packet._tag) {
    case "Connack":
    case "Auth":
    case "Disconnect":
      return true
    default:
      return false
  }
}

const credentialsDied = (cause: unknown): Effect.Effect<never, CredentialsError> =>
  Effect.fail(new CredentialsError({ detail: "the authentication died", cause, isRetryable: false }))

const asReason = ({ cause, detail, isRetryable }: CredentialsError): CredentialsFailed =>
  new CredentialsFailed({ detail, cause, isTransient: isRetryable })
