/**
 * One connection from CONNECT to its end: handles bytes and packets synchronously, from the network's callback.
 *
 * The codec frames and validates every inbound packet, and `dispatch.ts` passes it to the owner. Time limits and the
 * keep alive fiber are in `connection.ts`.
 *
 * A link is `opening` until CONNACK, `open`, then `closing` (its last bytes are being sent and input is ignored), then
 * `closed`. Only the first reason that ends it counts.
 */
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Exchange } from "../../Authentication.ts"
import { Closed, MqttError, type MqttErrorReason, ProtocolViolation, Unexpected } from "../../MqttError.ts"
import type { Connack, Disconnect, Packet } from "../../Packet.ts"
import * as ReasonCode from "../../ReasonCode.ts"
import * as ServerAddress from "../../ServerAddress.ts"
import type { ByteStream, ByteStreamHandlers, StreamCertificate } from "../../Transport.ts"
import { type Attempt, fromNetworkError, fromStreamEnd } from "../classification.ts"
import type { Decoder, EncodeFailure } from "../codec/contract.ts"
import { makeDecoder } from "../codec/decoder.ts"
import type { Runner, SendAuth } from "./authenticating.ts"
import type {
  Connection,
  ConnectionCounters,
  ConnectionHandlers,
  ConnectionRequest,
  NotSent,
  SendResult
} from "./contract.ts"
import * as Disconnecting from "./disconnect.ts"
import { Dispatch, type DispatchHost } from "./dispatch.ts"
import { Intake, packetsPerCall, PauseReason } from "./intake.ts"
import type { KeepAlive, KeptAlive } from "./keepAlive.ts"
import { Sender, type SenderHandlers } from "./sender.ts"

// Maximum size of CONNACK in bytes. Servers send a few hundred; a long reason string and some hundred user properties
// fit.
const maximumConnackSize = 65_536

const sent: SendResult = { _tag: "Sent" }
const congested: SendResult = { _tag: "Congested" }

const notSent = (sent: number, failure?: EncodeFailure): NotSent => ({ _tag: "NotSent", sent, failure })

type MutableCounters = { -readonly [K in keyof ConnectionCounters]: number }

const attemptOf = ({ address, connect: { clientId, protocolVersion } }: ConnectionRequest): Attempt => ({
  protocolVersion,
  clientId,
  server: ServerAddress.format(address)
})

const decoderOf = ({ connect: { protocolVersion }, maximumPacketSize }: ConnectionRequest): Decoder =>
  makeDecoder({
    role: "client",
    protocolVersion,
    maximumPacketSize,
    maximumConnackSize,
    packetsPerCall,
    ownsChunks: true
  })

/**
 * The effects that a link needs from `connection.ts`.
 */
export interface LinkRuntime extends Runner {
  /** The watch over the peer, with this keep alive in seconds. The link starts and stops it. */
  readonly watch: (link: Link, keepAlive: number) => KeepAlive
  /** The link has begun to close by itself and waits for the peer. The callee must bound this wait. */
  readonly onClosing: (link: Link) => void
  /** A handler threw an exception that cannot be handled otherwise. */
  readonly onDefect: (cause: unknown) => void
}

const noCertificates: ReadonlyArray<StreamCertificate> = []

/**
 * The state of one connection. A class, because a program may have thousands of idle connections.
 */
export class Link implements Connection, DispatchHost, KeptAlive, SenderHandlers {
  /** Succeeds when CONNACK has accepted; fails when the link is closed before that. */
  readonly accepted: Deferred.Deferred<void, MqttError> = Deferred.makeUnsafe()
  /** The link is closed. */
  readonly gone: Deferred.Deferred<void> = Deferred.makeUnsafe()
  readonly counters: MutableCounters = { bytesSent: 0, bytesReceived: 0, packetsSent: 0, packetsReceived: 0 }
  certificates: ReadonlyArray<StreamCertificate> = noCertificates
  lastSent: number
  lastReceived: number

  readonly #request: ConnectionRequest
  readonly #handlers: ConnectionHandlers
  readonly #clock: Clock.Clock
  readonly #runtime: LinkRuntime
  readonly #intake: Intake
  readonly sender: Sender
  readonly #dispatch: Dispatch
  phase: DispatchHost["phase"] = "opening"
  #announced = false
  #reason: MqttErrorReason | undefined
  #stream: ByteStream | undefined
  #watch: KeepAlive | undefined

  constructor(request: ConnectionRequest, handlers: ConnectionHandlers, clock: Clock.Clock, runtime: LinkRuntime) {
    this.#request = request
    this.#handlers = handlers
    this.#clock = clock
    this.#runtime = runtime
    this.sender = new Sender(request.connect.protocolVersion, this.counters, this)
    const send: SendAuth = (packet) => this.sender.send([packet]).failure
    this.#dispatch = new Dispatch(request, handlers, this, runtime, send)
    this.#intake = new Intake(decoderOf(request), this.#dispatch)
    this.lastSent = this.lastReceived = this.now()
  }

  /** The accepting CONNACK. Only valid after `accepted`. */
  get connack(): Connack {
    return this.#dispatch.connack!
  }

  get keepAlive(): number {
    return this.#dispatch.connack?.properties.serverKeepAlive ?? this.#request.connect.keepAlive
  }

  // Made when something fails, so that idle connections do not hold it.
  get attempt(): Attempt {
    return attemptOf(this.#request)
  }

  /** Milliseconds of the monotonic clock. */
  now(): number {
    return Number(this.#clock.monotonicTimeNanosUnsafe()) / 1_000_000
  }

  get bytesSent(): number {
    return this.counters.bytesSent
  }
  get pendingBytes(): number {
    return this.sender.pendingBytes
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

  // Callbacks of the dispatch.

  opened(): void {
    this.phase = "open"
  }

  handedOver(): void {
    // Only the first time: the owner gets CONNACK, and the packets that came with it, before `open` succeeds.
    Deferred.doneUnsafe(this.accepted, Exit.void)
  }

  setHeld(isHeld: boolean): void {
    this.#intake[isHeld ? "pause" : "resume"](PauseReason.authentication)
  }

  // Callbacks of the sender.

  onClosed(): void {
    this.#beginClosing(undefined)
  }

  onFailure(cause: unknown): void {
    this.#beginClosing(fromNetworkError(cause, "connected", this.attempt.server))
    queueMicrotask(() => this.#destroy())
  }

  onUnread(): void {
    this.#intake.pause(PauseReason.answers)
  }

  /** Encodes CONNECT, which `start` sends. Answers why it cannot be encoded; undefined: it can. */
  prepare(): string | undefined {
    return this.sender.encode(this.#request.connect)?.detail
  }

  /** Takes the open stream and sends CONNECT. */
  start(stream: ByteStream): void {
    this.#stream = stream
    this.certificates = stream.certificates?.() ?? noCertificates
    if (this.phase !== "opening") {
      stream.destroy()
      return
    }
    this.#intake.attach(stream)
    this.sender.attach(stream)
    this.counters.packetsSent++
    this.lastSent = this.lastReceived = this.now()
    this.sender.flush()
  }

  /** Starts the watch, which sends PINGREQ and detects a peer that is gone. */
  watch(): void {
    this.#watch = this.#runtime.watch(this, this.keepAlive)
    this.#watch.wake()
  }

  /** The owner has the connection from here on, and gets its end. Answers the reason when it has ended meanwhile. */
  announce(): MqttErrorReason | undefined {
    if (this.phase === "closed") return this.#reason
    this.#announced = true
    return undefined
  }

  /** No callback reports the end: the owner never got the connection. */
  silence(): void {
    this.#announced = false
  }

  send(packets: ReadonlyArray<Packet>, now = this.now()): SendResult {
    if (this.phase !== "open") {
      return notSent(0)
    }
    const { count, failure, isComplete } = this.sender.send(packets)
    this.lastSent = now
    if (isComplete) {
      return this.sender.isCongested ? congested : sent
    }
    if (failure !== undefined) {
      this.#beginClosing(new Unexpected({ detail: `cannot encode ${failure.packet}: ${failure.detail}` }))
      queueMicrotask(() => this.#break(ReasonCode.implementationSpecificError))
    }
    return notSent(count, failure)
  }

  reauthenticate(exchange: Exchange): Effect.Effect<void, MqttError> {
    return this.#dispatch.reauthenticate(exchange)
  }

  pause(): void {
    if (this.phase === "open") {
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
    if (this.phase !== "open") {
      return
    }
    this.#beginClosing(new Closed())
    this.#endStream(Disconnecting.ofLeaving(this.#request.connect, this.connack, reasonCode, sessionExpiryInterval))
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
    if (this.phase !== "opening" && this.phase !== "open") {
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

  #drained(): void {
    const wasCongested = this.sender.drained()
    this.#resume(PauseReason.answers)
    if (wasCongested && this.phase === "open") {
      try {
        this.#handlers.onWritable()
      } catch (cause) {
        const detail = "the handler of the writable connection failed"
        this.abort(ReasonCode.implementationSpecificError, new Unexpected({ detail, cause }))
      }
    }
  }

  #streamClosed(cause: unknown): void {
    this.#reason ??= fromStreamEnd(cause, this.#dispatch.connack !== undefined, this.attempt)
    this.#close()
  }

  /** Sends DISCONNECT with a reason code on MQTT 5, and ends the stream on both versions. */
  abort(reasonCode: number, reason: MqttErrorReason): void {
    if (this.phase === "closing" || this.phase === "closed") {
      return
    }
    this.#beginClosing(reason)
    this.#break(reasonCode)
  }

  #break(reasonCode: number): void {
    this.sender.withhold()
    this.#endStream(Disconnecting.ofBreaking(this.#request.connect, reasonCode))
  }

  #endStream(disconnect: Disconnect | undefined): void {
    if (disconnect !== undefined) {
      this.sender.leave(disconnect)
    }
    this.#stream?.end()
  }

  #beginClosing(reason: MqttErrorReason | undefined): void {
    if (this.phase === "closing") {
      return
    }
    this.phase = "closing"
    this.#reason ??= reason
    this.#intake.stop()
    this.#runtime.onClosing(this)
  }

  #close(): void {
    if (this.phase === "closed") {
      return
    }
    this.phase = "closed"
    this.#intake.stop()
    this.sender.stop()
    this.#watch?.stop()
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
    this.#dispatch.end(error)
    Deferred.doneUnsafe(this.accepted, Exit.fail(error))
    Deferred.doneUnsafe(this.gone, Exit.void)
  }
}
