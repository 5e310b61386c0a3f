/**
 * The transport of a browser and of React Native: the WebSocket of the platform only (MQTT 6).
 *
 * A browser's WebSocket has no flow control. Data that arrives while reading is paused is held, up to 16 MiB; more ends
 * the connection, because memory would be unbounded otherwise. A message that is much larger than the maximum packet
 * size ends it too, although the browser has already buffered it. The browser manages certificates, trust and headers:
 * options about them are refused with `NotSupported`.
 */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import { MqttError } from "../../MqttError.ts"
import * as ServerAddress from "../../ServerAddress.ts"
import type { ByteStream, ByteStreamHandlers, Transport, TransportRequest, WriteResult } from "../../Transport.ts"
import { fromNetworkError } from "../classification.ts"
import { notSupported } from "./notSupported.ts"

export { canPauseStreams, mqttJsOptions, mqttJsRefusal, watchStream } from "./mqttJs.ts"

// More waiting bytes than this count as congestion. The congestion ends at a quarter of it.
const highWaterMark = 262_144
const lowWaterMark = 65_536
const maximumHeld = 16_777_216

// As on Node: the bytes that a server may join with a packet of the largest size, and the largest message that may hold
// CONNACK.
const messageSlack = 65_536
const maximumFirstBytes = 131_072

// A closing handshake that the server begins has no event, only a state. Interval at which the state is read, in
// milliseconds.
const stateInterval = 500

// RFC 6455, 7.4.1: the only code of a normal end that a script may send.
const normalClosure = 1000

/**
 * The transport that sessions use in a browser unless another one is provided.
 */
export const defaultTransport: Transport = {
  open: (request, handlers) => {
    const reason = notSupported(request)
    return reason === undefined ? openWebSocket(request, handlers) : Effect.fail(new MqttError({ reason }))
  },
  reachable: Effect.callback((resume) => {
    const { document, window } = globalThis as Partial<Pick<typeof globalThis, "document" | "window">>
    // React Native and workers have neither.
    if (typeof window?.addEventListener !== "function") return
    const ended = new AbortController()
    const wake = (): void => resume(Effect.void)
    window.addEventListener("online", wake, { signal: ended.signal })
    document?.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") wake()
    }, { signal: ended.signal })
    return Effect.sync(() => ended.abort())
  })
}

const turns: Array<{ readonly task: (argument: never) => void; readonly argument: unknown }> = []
let channel: MessageChannel | undefined

const runTurn = (): void => {
  const turn = turns.shift()
  turn?.task(turn.argument as never)
}

// React Native has no MessageChannel. Its `setImmediate` is not clamped either.
declare const setImmediate: <A>(task: (argument: A) => void, argument: A) => unknown

/**
 * Runs a task in the next turn of the event loop. Browsers clamp timers to 4 ms, and to a second in the background;
 * messages are not clamped.
 */
export const scheduleTurn = <A>(task: (argument: A) => void, argument: A): void => {
  if (typeof MessageChannel === "undefined") {
    setImmediate(task, argument)
    return
  }
  if (channel === undefined) {
    channel = new MessageChannel()
    channel.port1.addEventListener("message", runTurn)
    channel.port1.start()
  }
  turns.push({ task, argument })
  channel.port2.postMessage(undefined)
}

const openWebSocket = Effect.fnUntraced(function*(
  request: TransportRequest,
  handlers: ByteStreamHandlers
): Effect.fn.Return<ByteStream, MqttError, Scope.Scope> {
  const server = ServerAddress.format(request.address)
  const refused = (cause: unknown) => new MqttError({ reason: fromNetworkError(cause, "connect", server) })
  const stream = yield* Effect.acquireRelease(
    Effect.try({
      try: () => {
        const subprotocol = request.webSocket?.subprotocol ?? "mqtt"
        return new BrowserStream(
          new WebSocket(ServerAddress.webSocketUrl(request.address), subprotocol),
          handlers,
          request.maximumPacketSize + messageSlack
        )
      },
      catch: refused
    }),
    (stream) => Effect.sync(() => stream.destroy())
  )
  yield* Effect.callback<void, MqttError>((resume) => {
    stream.connect((cause) => resume(cause === undefined ? Effect.void : Effect.fail(refused(cause))))
    return Effect.sync(() => stream.destroy())
  })
  yield* Effect.forkScoped(stream.watchCongestion)
  yield* Effect.forkScoped(stream.watchState)
  return stream
})

/**
 * A constructed WebSocket. Its handlers are called once `connect` has run.
 */
class BrowserStream implements ByteStream {
  readonly #socket: WebSocket
  readonly #handlers: ByteStreamHandlers
  readonly #congestion = Latch.makeUnsafe()
  #settle: ((cause: Error | undefined) => void) | undefined
  #over = false
  #ending = false
  #maximumMessage: number
  #isFirst = true
  #held: Array<Uint8Array> | undefined
  #heldBytes = 0

  constructor(socket: WebSocket, handlers: ByteStreamHandlers, maximumMessage: number) {
    this.#socket = socket
    this.#handlers = handlers
    this.#maximumMessage = maximumMessage
    socket.binaryType = "arraybuffer"
    socket.addEventListener("open", () => this.#settled(undefined))
    socket.addEventListener("message", (event: MessageEvent<unknown>) => this.#onMessage(event.data))
    // The error event of a browser has no cause. The close event, which usually says more, follows in the same turn.
    socket.addEventListener("error", () => scheduleTurn(() => this.#onError(), undefined))
    socket.addEventListener("close", (event) => this.#onClose(event))
  }

  /** Calls back once: when the socket is open, or with the cause of the failure. */
  connect(settle: (cause: Error | undefined) => void): void {
    if (this.#socket.readyState === WebSocket.CONNECTING) {
      this.#settle = settle
    } else {
      settle(this.#socket.readyState === WebSocket.OPEN ? undefined : new Error("the WebSocket closed"))
    }
  }

  /**
   * Reports the end of congestion. A WebSocket has no event for it, so this polls the buffered amount, only while it is
   * too high.
   */
  readonly watchCongestion: Effect.Effect<never> = Effect.gen({ self: this }, function*() {
    while (true) {
      yield* this.#congestion.await
      let pause = 4
      while (this.#socket.bufferedAmount > lowWaterMark && !this.#over) {
        yield* Effect.sleep(pause)
        pause = Math.min(pause * 2, 50)
      }
      this.#congestion.closeUnsafe()
      if (!this.#over) {
        this.#handlers.onDrain()
      }
    }
  })

  /**
   * Detects a closing handshake that the server has begun: the close event waits for the end of the network connection.
   */
  readonly watchState: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    while (!this.#over && this.#socket.readyState === WebSocket.OPEN) {
      yield* Effect.sleep(stateInterval)
    }
    this.#closing()
  })

  write(bytes: Uint8Array): WriteResult {
    if (this.#over || this.#socket.readyState !== WebSocket.OPEN) {
      this.#closing()
      return "closed"
    }
    this.#socket.send(bytes as Uint8Array<ArrayBuffer>)
    if (this.#socket.bufferedAmount <= highWaterMark) {
      return "taken"
    }
    this.#congestion.openUnsafe()
    return "congested"
  }

  pendingBytes(): number {
    return this.#socket.bufferedAmount
  }

  pause(): void {
    this.#held ??= []
  }

  resume(): void {
    const held = this.#held ?? []
    this.#held = undefined
    this.#heldBytes = 0
    for (let index = 0; index < held.length; index++) {
      // The handler may have paused again.
      if (this.#over) {
        return
      } else if (this.#held === undefined) {
        this.#handlers.onData(held[index]!)
      } else {
        this.#hold(held[index]!)
      }
    }
  }

  end(): void {
    this.#ending = true
    this.#socket.close(normalClosure)
  }

  // A WebSocket cannot be closed at once: the closing handshake continues in the background, without listeners.
  destroy(): void {
    if (this.#over) {
      return
    }
    this.#socket.close()
    if (this.#settle === undefined) {
      this.#end(undefined)
    } else {
      this.#settle = undefined
      this.#over = true
    }
  }

  #settled(cause: Error | undefined): boolean {
    const settle = this.#settle
    this.#settle = undefined
    settle?.(cause)
    return settle !== undefined
  }

  #onMessage(data: unknown): void {
    if (this.#over) {
      return
    }
    if (!(data instanceof ArrayBuffer)) {
      // Only binary frames carry MQTT [MQTT5-6.0.0-1].
      this.#socket.close(normalClosure)
      this.#end(new Error("the server sent a WebSocket text frame"))
      return
    }
    const bytes = new Uint8Array(data)
    const maximum = this.#isFirst ? Math.min(maximumFirstBytes, this.#maximumMessage) : this.#maximumMessage
    this.#isFirst = false
    if (bytes.length > maximum) {
      this.#socket.close(normalClosure)
      this.#end(new Error(`the server sent a WebSocket message of more than ${maximum} bytes`))
      return
    }
    if (this.#held === undefined) {
      this.#handlers.onData(bytes)
    } else {
      this.#hold(bytes)
    }
  }

  #hold(bytes: Uint8Array): void {
    this.#heldBytes += bytes.length
    if (this.#heldBytes > maximumHeld) {
      this.#held = []
      this.#socket.close(normalClosure)
      this.#end(new Error(`more than ${maximumHeld} bytes arrived while reading was paused`))
    } else {
      this.#held?.push(bytes)
    }
  }

  /** The server has begun to close, and everything that it had sent has been handed over. */
  #closing(): void {
    if (!this.#ending && !this.#over && this.#socket.readyState !== WebSocket.OPEN) {
      scheduleTurn(() => this.#end(undefined), undefined)
    }
  }

  #onError(): void {
    const cause = new Error("the WebSocket failed")
    if (!this.#settled(cause)) {
      this.#end(cause)
    }
  }

  #onClose(event: CloseEvent): void {
    const cause = new Error(
      event.reason === "" ? `the WebSocket closed with code ${event.code}` : `${event.reason} (code ${event.code})`
    )
    if (!this.#settled(cause)) {
      this.#end(event.wasClean ? undefined : cause)
    }
  }

  #end(cause: Error | undefined): void {
    if (!this.#over) {
      this.#over = true
      this.#handlers.onClose(cause)
    }
  }
}
