/**
 * MQTT.js as the state machine of the handshake of one network connection: it begins CONNECT, and judges CONNACK and AUTH.
 *
 * One fresh client lives at most as long as one socket, so that none of its events can reach a later connection, and what it
 * knows about sessions (stores, queues, reconnecting, resubscribing, keep alive) stays switched off. Between it and the
 * socket stands `DriverStream`, which the connection feeds with validated packets only: MQTT.js never sees malformed bytes, a
 * publish, or an exception of a handler. After CONNACK only a connection that can be authenticated again (MQTT 4.12.1) keeps
 * its client: an idle one is 7 KB.
 *
 * The bytes of CONNECT are not taken from MQTT.js. It holds user properties in an object, which loses duplicates and order
 * (MQTT 3.1.2.11.8), refuses a password without a user name (allowed by MQTT 5, 3.1.2.9) and an empty client identifier
 * without Clean Start (allowed by MQTT 5, 3.1.3.1), and writes the packet in a dozen chunks. What it writes while it connects is
 * dropped, and the connection sends its own encoding in that place.
 */
import mqtt from "mqtt"
import type { ProtocolVersion } from "../../QoS.ts"

/**
 * What MQTT.js wants done. Called synchronously.
 */
export interface DriverHandlers {
  /** Bytes of an AUTH, or of a DISCONNECT that MQTT.js answers with, in several small pieces. */
  readonly onBytes: (bytes: Uint8Array) => void
  /** A packet begins, of which `onBytes` will tell the bytes. */
  readonly onPacket: () => void
  /** The stream may end after what was written: DISCONNECT is out. */
  readonly onEnd: () => void
  /** MQTT.js gives the connection up. */
  readonly onFailure: (error: Error) => void
}

export interface DriverOptions {
  readonly protocolVersion: ProtocolVersion
  /** The method of enhanced authentication that CONNECT names (MQTT 4.12). */
  readonly authenticationMethod: string | undefined
}

export interface Driver {
  /** A CONNACK was accepted and the stream has not closed since. */
  readonly isConnected: () => boolean
  /** Hands over one validated CONNACK, AUTH or DISCONNECT. */
  readonly feed: (packet: Uint8Array) => void
  /** Nothing more is to come, or the socket is gone: stops the timers. */
  readonly closed: () => void
}

// Far beyond any connection attempt; the connection has its own limit, by Effect's Clock.
const never = 2_147_483_647

// Packet identifiers belong to the session engine: MQTT.js sends nothing that has one, and "forgets" them on every connect.
const noIdentifiers: mqtt.IClientOptions["messageIdProvider"] = {
  allocate: () => null,
  getLastAllocated: () => null,
  register: () => false,
  deallocate: () => {},
  clear: () => {}
}

/**
 * Starts MQTT.js for one connection: it counts as having sent CONNECT when this returns.
 */
export const make = (options: DriverOptions, handlers: DriverHandlers): Driver => {
  const stream = new DriverStream(handlers)
  const client = new mqtt.MqttClient(
    // MQTT.js asks for a Duplex, and uses of it what `DriverStream` has.
    () => stream as unknown as mqtt.IStream,
    {
      protocolVersion: options.protocolVersion,
      // Placeholders: this CONNECT never leaves (see above).
      clientId: "mqtt",
      clean: true,
      keepalive: 0,
      ...(options.authenticationMethod === undefined
        ? undefined
        : { properties: { authenticationMethod: options.authenticationMethod } }),
      manualConnect: true,
      reconnectPeriod: 0,
      connectTimeout: never,
      resubscribe: false,
      queueQoSZero: false,
      reschedulePings: false,
      messageIdProvider: noIdentifiers,
      // The cache of MQTT.js costs 16 MB and 60 ms at the first packet, for numbers that it hardly writes here. The switch is
      // global to mqtt-packet: other MQTT.js clients of the process make these numbers on the fly too.
      writeCache: false,
      // Its default costs a tenth of the processor even when nothing is logged.
      log: () => {}
    }
  )
  // An 'error' event without a listener is an uncaught exception, so this one stays for good.
  client.on("error", (error) => stream.fail(error))
  client.on("packetsend", (packet) => {
    if (packet.cmd !== "connect") {
      handlers.onPacket()
    }
  })
  // Enhanced authentication (MQTT 4.12) will answer here; until then a challenge ends the connection.
  client.handleAuth = (_packet, answer) => answer(new Error("enhanced authentication is not supported"))
  client.connect()
  stream.connecting = false

  return {
    isConnected: () => client.connected,
    feed: (packet) => stream.feed(packet),
    closed: () => stream.closed()
  }
}

interface Sink {
  readonly write: (bytes: Uint8Array) => unknown
}

type Listener = (argument?: unknown) => void

const textEncoder = new TextEncoder()

/**
 * What MQTT.js uses of a stream, and no more. It has to be this small to run in a browser, where there is no `node:stream`.
 */
class DriverStream {
  /** While true, what is written is the CONNECT that never leaves. */
  connecting = true
  readonly #handlers: DriverHandlers
  readonly #listeners = new Map<string, Array<Listener>>()
  #sink: Sink | undefined
  #closed = false
  #destroyed = false
  #failed = false

  constructor(handlers: DriverHandlers) {
    this.#handlers = handlers
  }

  feed(packet: Uint8Array): void {
    this.#destroyed = false
    this.#failed = false
    this.#sink?.write(packet)
    if (this.#destroyed && !this.#failed) {
      this.#handlers.onFailure(new Error("MQTT.js gave the connection up"))
    }
  }

  fail(error: Error): void {
    this.#failed = true
    if (!this.#closed) {
      this.#handlers.onFailure(error)
    }
  }

  closed(): void {
    if (!this.#closed) {
      this.#closed = true
      this.emit("close")
      this.#listeners.clear()
      this.#sink = undefined
    }
  }

  pipe<S extends Sink>(sink: S): S {
    this.#sink = sink
    return sink
  }

  // True always: MQTT.js would wait for 'drain' before it goes on, and DISCONNECT must go out on a congested socket too.
  write(chunk: Uint8Array | string): boolean {
    if (!this.connecting && !this.#closed) {
      this.#handlers.onBytes(typeof chunk === "string" ? textEncoder.encode(chunk) : chunk)
    }
    return true
  }

  end(): this {
    if (!this.#closed) {
      this.#handlers.onEnd()
    }
    return this
  }

  // Without an error, MQTT.js tells it right behind, as its own 'error' event; `feed` sees to it if not.
  destroy(error?: Error): this {
    this.#destroyed = true
    if (error !== undefined) {
      this.fail(error)
    }
    return this
  }

  setMaxListeners(): this {
    return this
  }

  on(event: string, listener: Listener): this {
    const listeners = this.#listeners.get(event)
    if (listeners === undefined) {
      this.#listeners.set(event, [listener])
    } else {
      listeners.push(listener)
    }
    return this
  }

  once(event: string, listener: Listener): this {
    const once: Listener = (argument) => {
      this.removeListener(event, once)
      listener(argument)
    }
    return this.on(event, once)
  }

  removeListener(event: string, listener: Listener): this {
    const listeners = this.#listeners.get(event)
    const index = listeners?.indexOf(listener) ?? -1
    if (index !== -1) {
      listeners?.splice(index, 1)
    }
    return this
  }

  emit(event: string, argument?: unknown): boolean {
    const listeners = this.#listeners.get(event)
    if (listeners === undefined) {
      return false
    }
    for (const listener of [...listeners]) {
      listener(argument)
    }
    return true
  }
}
