/**
 * Adapts a duplex stream that MQTT.js has opened to a byte stream. It knows the stream by its shape only: one of Node,
 * of `readable-stream`, or a user's own. Called by `MqttJs`. Reports of the stream's platform, such as an upgrade that
 * the server refuses, come through `Opening`.
 */
import * as Deferred from "effect/Deferred"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { MqttError, type MqttErrorReason, TlsFailure } from "../../MqttError.ts"
import * as ServerAddress from "../../ServerAddress.ts"
import type { ByteStream, ByteStreamHandlers, TransportRequest, WriteResult } from "../../Transport.ts"
import { fromHttpStatus, fromNetworkError } from "../classification.ts"
import { errorCodeOf, isTlsCode } from "../networkErrors.ts"
import { openStream } from "../openStream.ts"
import { cleanCause } from "../peerText.ts"

/** The members of a duplex stream that are used here. */
export interface Duplex {
  readonly on: (event: string, listener: (argument: never) => void) => unknown
  readonly write: (bytes: Uint8Array, written: (error?: Error | null) => void) => unknown
  readonly pause: () => unknown
  readonly resume: () => unknown
  readonly end: () => unknown
  readonly destroy: () => unknown
  readonly destroyed?: boolean
  readonly writable?: boolean
  /** Set for a socket that has not reached its server yet. */
  readonly connecting?: boolean
  /** Set for TLS until the handshake is done. */
  readonly secureConnecting?: boolean
  /** Set for MQTT.js's stream over a WebSocket of a browser or a mini program. */
  readonly isSocketOpen?: boolean
  readonly setNoDelay?: (noDelay: boolean) => unknown
}

const methods = ["on", "write", "pause", "resume", "end", "destroy"] as const

/** Whether a value that a builder returned can be used as a stream. */
export const isDuplex = (value: unknown): value is Duplex =>
  typeof value === "object" && value !== null &&
  methods.every((name) => typeof (value as Partial<Duplex>)[name] === "function")

/**
 * What the platform observes of an attempt. The platform writes the fields and calls the functions; the stream reads
 * the fields and sets the functions.
 */
export interface Opening {
  /** Whether a stream without a ready event of its own has to wait for `onReady`. */
  isAwaited: boolean
  onReady: () => void
  /** The stream has failed in a way that it does not report itself. */
  onFailure: (cause: Error) => void
  /** The HTTP status with which the server refused the upgrade. */
  status: number | undefined
  /** What the end of the connection means, with this error or without one. */
  explain: (failure: Error | undefined) => Error | undefined
  /** The first bytes have arrived. */
  onData: () => void
  /** The stream has ended. */
  onOver: () => void
}

export const makeOpening = (): Opening => ({
  isAwaited: false,
  onReady: () => {},
  onFailure: () => {},
  status: undefined,
  explain: (failure) => failure,
  onData: () => {},
  onOver: () => {}
})

export interface DuplexOptions {
  readonly opening: Opening
  /** Makes the stream; may throw. */
  readonly make: () => Duplex
  /** False: the stream delivers data while it is paused, which is then held here. */
  readonly canPause: boolean
  /** Each write gets its own buffer, because the stream sends the whole buffer of a view. */
  readonly ownsBuffers: boolean
}

// More waiting bytes than this count as congestion.
const highWaterMark = 262_144

// As in a browser: holding more than this while reading is paused ends the connection.
const maximumHeld = 16_777_216

/**
 * Waits until the stream is ready for CONNECT, as far as it reports that, and destroys it with the scope.
 */
export const openDuplex = (
  request: TransportRequest,
  handlers: ByteStreamHandlers,
  options: DuplexOptions
): Effect.Effect<ByteStream, MqttError, Scope.Scope> =>
  openStream(request.address, {
    connect: (opened) => new DuplexStream(request, handlers, options, opened),
    destroy: (stream) => stream.destroy(),
    stream: (stream) => stream
  })

class DuplexStream implements ByteStream {
  readonly #request: TransportRequest
  readonly #handlers: ByteStreamHandlers
  readonly #options: DuplexOptions
  readonly #stream: Duplex
  readonly #opened: Deferred.Deferred<void, MqttError>
  #isReady = false
  #isOver = false
  #hasReached = false
  #failure: Error | undefined
  #pending = 0
  #isCongested = false
  #held: Array<Uint8Array> | undefined
  #heldBytes = 0

  constructor(
    request: TransportRequest,
    handlers: ByteStreamHandlers,
    options: DuplexOptions,
    opened: Deferred.Deferred<void, MqttError>
  ) {
    this.#request = request
    this.#handlers = handlers
    this.#options = options
    this.#opened = opened
    const { opening } = options
    const stream = this.#stream = options.make()
    // The listeners stay for the stream's whole life: an 'error' event without a listener is an uncaught exception.
    stream.on("error", (error: Error) => {
      this.#failure ??= error
    })
    stream.on("connect", () => {
      this.#hasReached = true
      if (waitsFor === "connect") {
        this.#ready()
      }
    })
    stream.on("secureConnect", () => this.#ready())
    stream.on("end", () => {
      // A peer that has ended its half sends nothing more. Unsent writes would keep the stream open.
      if (this.#isReady) {
        this.#end()
      }
    })
    stream.on("close", () => this.#end())
    opening.onReady = () => this.#ready()
    opening.onFailure = (cause) => {
      this.#failure ??= cause
      this.#end()
      stream.destroy()
    }
    const waitsFor = awaitedEvent(stream) ?? (opening.isAwaited ? "opening" : undefined)
    if (stream.destroyed === true) {
      this.#end()
    } else if (waitsFor === undefined) {
      this.#ready()
    }
  }

  write(bytes: Uint8Array): WriteResult {
    const stream = this.#stream
    if (this.#isOver || stream.destroyed === true || stream.writable === false) {
      return "closed"
    }
    const { length } = bytes
    this.#pending += length
    // In object mode the stream's own count is in chunks.
    stream.write(this.#options.ownsBuffers ? bytes.slice() : bytes, () => this.#written(length))
    this.#isCongested ||= this.#pending > highWaterMark
    return this.#isCongested ? "congested" : "taken"
  }

  pendingBytes(): number {
    return this.#pending
  }

  pause(): void {
    if (this.#options.canPause) {
      this.#stream.pause()
    } else {
      this.#held ??= []
    }
  }

  resume(): void {
    if (this.#options.canPause) {
      this.#stream.resume()
      return
    }
    const held = this.#held ?? []
    this.#held = undefined
    this.#heldBytes = 0
    for (const bytes of held) {
      this.#onData(bytes)
    }
  }

  end(): void {
    this.#stream.end()
  }

  destroy(): void {
    this.#stream.destroy()
    // Not every stream reports an end that was requested.
    this.#end()
  }

  #ready(): void {
    if (this.#isReady || this.#isOver) {
      return
    }
    this.#isReady = true
    const stream = this.#stream
    stream.setNoDelay?.(true)
    stream.on("data", (bytes: unknown) => this.#onData(bytes))
    Deferred.doneUnsafe(this.#opened, Exit.void)
  }

  #onData(bytes: unknown): void {
    if (this.#isOver) {
      return
    }
    if (!(bytes instanceof Uint8Array)) {
      this.#options.opening.onFailure(new Error("the stream gave something else than bytes"))
      return
    }
    this.#options.opening.onData()
    if (this.#held === undefined) {
      this.#handlers.onData(bytes)
      return
    }
    this.#held.push(bytes)
    this.#heldBytes += bytes.length
    if (this.#heldBytes > maximumHeld) {
      this.#held = []
      this.#options.opening.onFailure(new Error(`more than ${maximumHeld} bytes arrived while reading was paused`))
    }
  }

  #written(length: number): void {
    this.#pending -= length
    if (this.#isCongested && this.#pending === 0 && !this.#isOver) {
      this.#isCongested = false
      this.#handlers.onDrain()
    }
  }

  #end(): void {
    if (this.#isOver) {
      return
    }
    this.#isOver = true
    this.#options.opening.onOver()
    const failure = this.#options.opening.explain(this.#failure)
    if (this.#isReady) {
      this.#handlers.onClose(failure)
    } else {
      Deferred.doneUnsafe(this.#opened, Exit.fail(new MqttError({ reason: this.#refusal(failure) })))
    }
  }

  #refusal(failure: Error | undefined): MqttErrorReason {
    const server = ServerAddress.format(this.#request.address)
    const { status } = this.#options.opening
    if (status !== undefined) {
      return fromHttpStatus(status, server)
    }
    // A peer that breaks off the TLS handshake leaves a plain network error, or none.
    return this.#hasReached && this.#stream.secureConnecting === true && !isTlsCode(errorCodeOf(failure) ?? "")
      ? new TlsFailure({
        server,
        cause: cleanCause(failure) ?? new Error("the server closed the connection during the handshake")
      })
      : fromNetworkError(failure ?? new Error("the server closed the connection"), "connect", server)
  }
}

/** The event by which a stream reports that it is ready. Other streams accept bytes at once and buffer them. */
const awaitedEvent = (stream: Duplex): "connect" | "secureConnect" | undefined =>
  stream.secureConnecting === true
    ? "secureConnect"
    : stream.connecting === true || stream.isSocketOpen === false
    ? "connect"
    : undefined
