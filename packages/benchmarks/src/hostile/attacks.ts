/**
 * What a hostile or broken server, or a client that may publish to a session's topics, can do to the session's memory.
 */
import type { Connection } from "./connection.ts"
import { type Behaviour, otherTopic, topic } from "./contract.ts"
import { acknowledgement, frameHead, packet, publish, repeated, text, variable } from "./wire.ts"

export interface Attack {
  readonly name: string
  readonly version: 4 | 5
  readonly transport?: "tcp" | "ws"
  readonly behaviour: Behaviour
  readonly qos?: 0 | 1 | 2
  readonly when?: "connect" | "connected" | "subscribed" | "published"
  /** The attack answers CONNECT, or does not. */
  readonly answersConnect?: boolean
  /** The attacker reads nothing. */
  readonly reads?: false
  /** Attacks every connection, not only the first one. */
  readonly again?: true
  /** Ends when everything was sent, or the other side takes no more. */
  readonly run: (connection: Connection) => Promise<void>
}

const mebibyte = 1_048_576
/** Of a packet of the default maximum packet size, for topic, identifier and lengths. */
const overhead = 32

const emptyUserProperty = Buffer.from([0x26, 0, 0, 0, 0])
const subscriptionIdentifier = Buffer.from([0x0b, 1])

/** Sends packets until there are enough, or the other side takes no more. */
const sendAll = async (
  connection: Connection,
  count: number,
  make: (index: number) => Uint8Array,
  deadline = Infinity
): Promise<void> => {
  for (let index = 0; index < count && Date.now() < deadline; index++) {
    if (!(await connection.send(make(index)))) return
  }
}

const identifierOf = (index: number): number => 1 + index % 65_535

/** Many copies of small packets in one write. */
const flood = async (connection: Connection, bytes: Uint8Array, seconds: number): Promise<void> => {
  const chunk = repeated(bytes, 65_536)
  await sendAll(connection, Infinity, () => chunk, Date.now() + seconds * 1000)
}

const payloads = (
  version: 4 | 5,
  qos: 0 | 1 | 2,
  bytes: number,
  properties: Uint8Array = Buffer.alloc(0)
): (index: number) => Buffer => {
  const payload = Buffer.alloc(bytes, 0x61)
  return (index) => publish({ version, topic, qos, identifier: identifierOf(index), properties, payload })
}

const acknowledgements = (first: number): Buffer =>
  Buffer.concat(Array.from({ length: 1000 }, (_, index) => acknowledgement(first, 60_000 + index)))

/** PUBREC at MQTT 5, with a reason string. */
const explainedPubrec = (identifier: number, reason: string): Buffer => {
  const property = Buffer.concat([Buffer.from([0x1f]), text(reason)])
  return packet(0x50, Buffer.from([identifier >> 8, identifier & 0xff, 0]), variable(property.length), property)
}

const floods: ReadonlyArray<Attack> = ([4, 5] as const).flatMap((version) =>
  ([["PUBREC", 0x50], ["PUBREL", 0x62], ["PUBACK", 0x40]] as const).map(([name, first]): Attack => ({
    name: `${name} flood, nothing is read`,
    version,
    behaviour: "stalledHandler",
    reads: false,
    run: (connection) => flood(connection, acknowledgements(first), 10)
  }))
)

export const attacks: ReadonlyArray<Attack> = [
  {
    name: "60 x 1 MiB of empty user properties",
    version: 5,
    behaviour: "stalledHandler",
    run: (connection) => sendAll(connection, 60, payloads(5, 1, 0, repeated(emptyUserProperty, mebibyte - overhead)))
  },
  {
    name: "60 x 1 MiB of empty user properties",
    version: 5,
    behaviour: "stalledStream",
    qos: 0,
    run: (connection) => sendAll(connection, 60, payloads(5, 0, 0, repeated(emptyUserProperty, mebibyte - overhead)))
  },
  {
    name: "60 x 1 MiB of subscription identifiers",
    version: 5,
    behaviour: "stalledHandler",
    run: (connection) =>
      sendAll(connection, 60, payloads(5, 1, 0, repeated(subscriptionIdentifier, mebibyte - overhead)))
  },
  ...([4, 5] as const).map((version): Attack => ({
    name: "200 x 1 MB plain",
    version,
    behaviour: "stalledHandler",
    run: (connection) => sendAll(connection, 200, payloads(version, 1, 1_000_000))
  })),
  {
    name: "500 x 1 MB plain",
    version: 5,
    behaviour: "stalledStream",
    qos: 0,
    run: (connection) => sendAll(connection, 500, payloads(5, 0, 1_000_000))
  },
  {
    name: "500 x 1 MB without a consumer",
    version: 5,
    behaviour: "publisher",
    when: "connected",
    run: (connection) => sendAll(connection, 500, payloads(5, 1, 1_000_000))
  },
  {
    name: "50,000 x 10 kB without a window",
    version: 4,
    behaviour: "stalledHandler",
    run: (connection) => sendAll(connection, 50_000, payloads(4, 1, 10_000))
  },
  {
    name: "60,000 x 10 kB, receive maximum ignored",
    version: 5,
    behaviour: "stalledHandler",
    again: true,
    run: (connection) => sendAll(connection, 60_000, payloads(5, 1, 10_000))
  },
  ...([4, 5] as const).map((version): Attack => ({
    name: "one QoS 2 PUBLISH, again and again",
    version,
    behaviour: "stalledHandler",
    qos: 2,
    run: async (connection) => {
      await connection.send(publish({ version, topic, qos: 2 }))
      await flood(connection, publish({ version, topic, qos: 2, dup: true }), 5)
    }
  })),
  ...floods,
  {
    name: "PUBREC with a reason string of 60 kB each",
    version: 5,
    behaviour: "publisher",
    qos: 2,
    when: "published",
    run: async (connection) => {
      const reason = "x".repeat(60_000)
      for (let index = 0; index < 1000; index++) {
        while (connection.published[index] === undefined && !connection.closed) {
          await new Promise((resolve) => setTimeout(resolve, 5))
        }
        if (!(await connection.send(explainedPubrec(connection.published[index]!, reason)))) return
      }
    }
  },
  ...([1, 0] as const).map((qos): Attack => ({
    name: "1,000 small ones, each in 64 kB without a consumer",
    version: 5,
    behaviour: qos === 1 ? "stalledHandler" : "stalledStream",
    qos,
    run: async (connection) => {
      const filler = repeated(
        publish({ version: 5, topic: otherTopic, qos: 0, payload: Buffer.alloc(100) }),
        64_000
      )
      await sendAll(
        connection,
        1000,
        (index) =>
          Buffer.concat([
            publish({ version: 5, topic, qos, identifier: 1 + index, payload: Buffer.alloc(20) }),
            filler
          ])
      )
    }
  })),
  ...(["connect", "subscribed"] as const).map((when): Attack => ({
    name: `a WebSocket message of 256 MB${when === "connect" ? " in place of CONNACK" : ""}`,
    version: 5,
    transport: "ws",
    behaviour: when === "connect" ? "connecting" : "stalledHandler",
    when,
    answersConnect: when !== "connect",
    run: async (connection) => {
      await connection.raw(frameHead(2, true, 268_435_456))
      const chunk = Buffer.alloc(mebibyte)
      for (let index = 0; index < 256; index++) if (!(await connection.raw(chunk))) return
    }
  })),
  {
    name: "a WebSocket message of 256 MB in fragments of 1 MiB",
    version: 5,
    transport: "ws",
    behaviour: "connecting",
    when: "connect",
    answersConnect: false,
    run: async (connection) => {
      const fragment = Buffer.concat([frameHead(0, false, mebibyte), Buffer.alloc(mebibyte)])
      await connection.raw(frameHead(2, false, 0))
      for (let index = 0; index < 256; index++) if (!(await connection.raw(fragment))) return
    }
  },
  {
    name: "a WebSocket message in fragments of one byte",
    version: 5,
    transport: "ws",
    behaviour: "stalledHandler",
    run: async (connection) => {
      await connection.raw(frameHead(2, false, 0))
      await sendRaw(connection, repeated(Buffer.from([0, 1, 0x30]), 65_536), 1000)
    }
  },
  {
    name: "packets in WebSocket messages of one byte",
    version: 5,
    transport: "ws",
    behaviour: "stalledHandler",
    run: async (connection) => {
      await connection.raw(Buffer.concat([frameHead(2, true, 5), Buffer.from([0x30, 0xff, 0xff, 0x3e, 0])]))
      await sendRaw(connection, repeated(Buffer.from([0x82, 1, 0]), 65_536), 1000)
    }
  },
  {
    name: "16 MB of PINGRESP in WebSocket messages of 1 MB",
    version: 5,
    transport: "ws",
    behaviour: "stalledHandler",
    run: (connection) => sendAll(connection, 16, () => repeated(Buffer.from([0xd0, 0]), 1_000_000))
  },
  {
    name: "a CONNACK of 1 MiB of user properties",
    version: 5,
    behaviour: "connecting",
    when: "connect",
    answersConnect: false,
    again: true,
    run: async (connection) => {
      const properties = repeated(emptyUserProperty, mebibyte - overhead)
      await connection.send(packet(0x20, Buffer.from([0, 0]), variable(properties.length), properties))
    }
  }
]

const sendRaw = async (connection: Connection, bytes: Uint8Array, times: number): Promise<void> => {
  for (let index = 0; index < times; index++) if (!(await connection.raw(bytes))) return
}
