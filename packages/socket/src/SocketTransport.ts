/**
 * A transport over the `Socket` of Effect: for runtimes with sockets of their own (Bun, Deno, the `connect()` of
 * Cloudflare Workers), and for streams of yours.
 *
 * It moves bytes between a socket and a connection, with back-pressure in both directions. It opens nothing itself, and
 * adds no TLS, proxy or WebSocket: that is the work of the function that makes the socket. `effect/socket` is an
 * unstable part of Effect, so this is a package of its own, which a minor version of Effect may break.
 */
import { InvalidOptions, isMqttError, MqttError } from "@effect-mqttx/core/MqttError"
import * as Transport from "@effect-mqttx/core/Transport"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"

/**
 * Makes the socket to a server. It gets the address with everything else that the session's options say about the way
 * there: TLS, WebSocket, proxy. An address of `mqtts` or `wss` needs a socket with TLS, which verifies the server: the
 * transport cannot see whether it is there, and user name and password go over it. Its scope is the connection.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type MakeSocket<R> = (
  request: Transport.TransportRequest
) => Effect.Effect<Socket.Socket, Socket.SocketError | MqttError, R>

/**
 * The transport over sockets of this kind. A `SocketError` on opening becomes `TlsFailure` or `ConnectionRefused`, see
 * `Transport.failure`. Dies with `InvalidOptions` for what is no function.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const make = <R>(
  makeSocket: MakeSocket<R>
): Effect.Effect<Transport.Transport, never, Exclude<R, Scope.Scope>> =>
  typeof makeSocket !== "function" ?
    Effect.die(noFunction()) :
    Effect.map(Effect.context<Exclude<R, Scope.Scope>>(), (context): Transport.Transport => ({
      open: (request, handlers) =>
        Effect.provideContext(
          openSocket(makeSocket, request, handlers) as Effect.Effect<
            Transport.ByteStream,
            MqttError,
            Scope.Scope | Exclude<R, Scope.Scope>
          >,
          context
        )
    }))

/**
 * The transport as a layer, for sessions, managers and forwarders. docs/networks.md has a program for Cloudflare
 * Workers.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer = <R>(makeSocket: MakeSocket<R>): Layer.Layer<never, never, Exclude<R, Scope.Scope>> =>
  Layer.effect(Transport.Transport, make(makeSocket))

const noFunction = (): MqttError =>
  new MqttError({
    method: "SocketTransport.make",
    reason: new InvalidOptions({ issues: [{ path: "makeSocket", message: "must be a function" }] })
  })

// More waiting bytes than this count as congestion, as with the default transport.
const highWaterMark = 262_144

const openSocket = Effect.fnUntraced(function*<R>(
  makeSocket: MakeSocket<R>,
  request: Transport.TransportRequest,
  handlers: Transport.ByteStreamHandlers
) {
  // Its own scope, so that the stream can end before the connection's scope does.
  const scope = yield* Scope.fork(yield* Effect.scope)
  const sending = yield* Scope.fork(scope)
  const { pull, writer } = yield* Effect.gen(function*() {
    const socket = yield* makeSocket(request)
    const pull = yield* Socket.readerBytes(socket)
    return { pull, writer: yield* Scope.provide(socket.writer, sending) }
  }).pipe(
    Scope.provide(scope),
    Effect.mapError((error) => isMqttError(error) ? error : Transport.failure(causeOf(error), request.address))
  )
  const { protocol } = request.address
  const stream = new SocketStream(handlers)
  const sendEnd = protocol === "ws" || protocol === "wss"
    ? writer.write(new Socket.CloseEvent(1000))
    : Scope.close(sending, Exit.void)
  yield* Effect.raceAllFirst([
    stream.read(pull),
    stream.send(writer, sendEnd),
    Deferred.await(stream.destroyed)
  ]).pipe(
    Effect.onExit((exit) =>
      Effect.andThen(
        Effect.sync(() => stream.over(Exit.isFailure(exit) ? undefined : exit.value)),
        Scope.close(scope, exit)
      )
    ),
    Effect.forkIn(scope)
  )
  yield* Scope.addFinalizer(scope, Effect.sync(() => stream.destroy()))
  return stream
})

/** What a socket's error is about, for the code of the network in it. */
const causeOf = (error: Socket.SocketError): unknown =>
  "cause" in error.reason && error.reason.cause !== undefined ? error.reason.cause : error

/** Why the stream has ended; undefined: in order. */
const endOf = (error: Socket.SocketError): unknown =>
  error.reason._tag === "SocketCloseError" && error.reason.code === 1000 ? undefined : causeOf(error)

class SocketStream implements Transport.ByteStream {
  readonly destroyed = Deferred.makeUnsafe<undefined>()
  readonly #handlers: Transport.ByteStreamHandlers
  readonly #reading = Latch.makeUnsafe(true)
  readonly #writing = Latch.makeUnsafe(false)
  #queue: Array<Uint8Array> = []
  #pending = 0
  #isPaused = false
  #isCongested = false
  #isEnding = false
  #isOver = false

  constructor(handlers: Transport.ByteStreamHandlers) {
    this.#handlers = handlers
  }

  /** Hands over what arrives, until the socket ends. Answers why it ended. */
  read(pull: Effect.Effect<ReadonlyArray<Uint8Array>, Socket.SocketError>): Effect.Effect<unknown> {
    return Effect.gen({ self: this }, function*() {
      // Nothing is handed over before `open` has succeeded.
      yield* Effect.yieldNow
      while (true) {
        yield* this.#reading.await
        for (const bytes of yield* pull) {
          yield* this.#reading.await
          if (this.#isOver) return undefined
          this.#handlers.onData(bytes)
        }
      }
    }).pipe(Effect.catch((error) => Effect.succeed(endOf(error))))
  }

  /** Writes what is handed over, until the socket fails. Answers why it failed. */
  send(
    writer: Socket.Writer,
    sendEnd: Effect.Effect<void, Socket.SocketError>
  ): Effect.Effect<unknown> {
    return Effect.gen({ self: this }, function*() {
      while (true) {
        yield* this.#writing.await
        this.#writing.closeUnsafe()
        const [first, ...rest] = this.#queue
        this.#queue = []
        if (first !== undefined) {
          yield* writer.writeAll([first, ...rest])
          this.#sent(first.length + rest.reduce((sum, bytes) => sum + bytes.length, 0))
        } else if (this.#isEnding) {
          yield* sendEnd
          return yield* Effect.never
        }
      }
    }).pipe(Effect.catch((error) => Effect.succeed(endOf(error))))
  }

  #sent(bytes: number): void {
    this.#pending -= bytes
    if (this.#isEnding || this.#queue.length > 0) this.#writing.openUnsafe()
    if (this.#isCongested && this.#pending === 0 && !this.#isOver && !this.#isEnding) {
      this.#isCongested = false
      this.#handlers.onDrain()
    }
  }

  write(bytes: Uint8Array): Transport.WriteResult {
    if (this.#isOver || this.#isEnding) return "closed"
    this.#queue.push(bytes)
    this.#pending += bytes.length
    this.#writing.openUnsafe()
    this.#isCongested ||= this.#pending > highWaterMark
    return this.#isCongested ? "congested" : "taken"
  }

  pendingBytes(): number {
    return this.#pending
  }

  pause(): void {
    this.#isPaused = true
    this.#reading.closeUnsafe()
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#reading.openUnsafe()
  }

  end(): void {
    this.#isEnding = true
    this.#writing.openUnsafe()
  }

  destroy(): void {
    Deferred.doneUnsafe(this.destroyed, Exit.succeed(undefined))
    this.over(undefined)
  }

  over(cause: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#handlers.onClose(cause)
  }
}
