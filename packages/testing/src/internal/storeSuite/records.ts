/**
 * Records for the suite: samples of every type, and random ones.
 */
import type { QoS } from "@effect-mqttx/core/QoS"
import type * as StoreRecord from "@effect-mqttx/core/StoreRecord"
import type { SeededRandom } from "../scripted/random.ts"

export const put = (record: StoreRecord.StoreRecord): StoreRecord.StoreChange => ({ _tag: "Put", record })
export const drop = (key: string): StoreRecord.StoreChange => ({ _tag: "Delete", key })

export const outbound = (
  sequence: number,
  fields?: Partial<Omit<StoreRecord.OutboundRecord, "_tag" | "sequence">>
): StoreRecord.OutboundRecord => ({
  _tag: "Outbound",
  sequence,
  state: "queued",
  packetIdentifier: 0,
  topic: "sensors/room1/temperature",
  payload: new Uint8Array([50, 51, 46, 53]),
  qos: 1,
  retain: false,
  properties: {},
  acceptedAt: 1_790_000_000_000,
  expiresAt: undefined,
  ...fields
})

export const inbound = (packetIdentifier: number, acknowledged = false): StoreRecord.InboundRecord => ({
  _tag: "Inbound",
  packetIdentifier,
  acknowledged,
  use: `life.${packetIdentifier}`,
  finished: acknowledged ? [] : ["billing", "a/b \ud800"]
})

export const consumer = (name: string): StoreRecord.ConsumerRecord => ({
  _tag: "Consumer",
  name,
  filters: ["orders/#", "$share/g/bills/+"],
  qos: 2
})

export const subscription = (
  filter: string,
  fields?: Partial<Omit<StoreRecord.SubscriptionRecord, "_tag" | "filter">>
): StoreRecord.SubscriptionRecord => ({
  _tag: "Subscription",
  filter,
  granted: true,
  qos: 1,
  noLocal: false,
  retainAsPublished: false,
  subscriptionIdentifier: 0,
  ...fields
})

export const identity = (
  clientId: string,
  fields?: Partial<Omit<StoreRecord.IdentityRecord, "_tag" | "clientId">>
): StoreRecord.IdentityRecord => ({
  _tag: "Identity",
  format: 1,
  protocolVersion: 5,
  clientId,
  incarnation: `${clientId}@1`,
  sessionExpiryInterval: 3600,
  ...fields
})

export const origin = (session: string, packetIdentifier: number, use = "life.1"): StoreRecord.OriginRecord => ({
  _tag: "Origin",
  origin: { forwarder: "up", session, packetIdentifier, use }
})

/** Strings that are long, in other scripts, or like the syntax of some storage. */
export const unusualTexts: ReadonlyArray<string> = [
  "/",
  "//",
  " a ",
  "é",
  "e\u0301",
  "状態/\u{1f321}",
  "\ufeff",
  "\uffff",
  "\u0001\u007f",
  "..",
  "../../a",
  "C:\\a",
  "{a}",
  "a:b;c,d=e",
  "%2f",
  "'\"`$(a)\\",
  "\r\n",
  "__proto__"
]

/** The longest string of MQTT: 65,535 bytes. */
export const longestText = (last: string): string => "a/".repeat(32_767) + last

export const everyByte = Uint8Array.from({ length: 256 }, (_, i) => i)

/** Records of every type in every shape. */
export const samples: ReadonlyArray<StoreRecord.StoreRecord> = [
  outbound(1),
  outbound(2, { qos: 0, retain: true, payload: new Uint8Array(0) }),
  outbound(3, { qos: 2, state: "publishing", packetIdentifier: 1 }),
  outbound(4, { qos: 2, state: "releasing", packetIdentifier: 65_535, payload: new Uint8Array(0) }),
  outbound(5, {
    payload: everyByte,
    acceptedAt: 1_790_000_000_000.25,
    expiresAt: 1_790_000_060_000.75,
    properties: {
      payloadFormatIndicator: 1,
      messageExpiryInterval: 4_294_967_295,
      contentType: "application/json",
      responseTopic: "answers/1",
      correlationData: everyByte,
      userProperties: [["b", "1"], ["a", "1"], ["b", "1"], ["", "\ufeff"]]
    }
  }),
  outbound(6, {
    acceptedAt: 0,
    expiresAt: 0,
    properties: {
      payloadFormatIndicator: 0,
      messageExpiryInterval: 0,
      contentType: "",
      correlationData: new Uint8Array(0)
    }
  }),
  inbound(1, true),
  inbound(65_535, false),
  subscription("a/+/#"),
  subscription("#", { qos: 0, noLocal: true, retainAsPublished: true, subscriptionIdentifier: 268_435_455 }),
  subscription("$share/g/a/b", { qos: 2, subscriptionIdentifier: 1 }),
  identity("plant", { sessionExpiryInterval: 0xffffffff }),
  origin("cloud", 1),
  origin("cloud", 65_535, "i@2")
]

const chance = (random: SeededRandom, probability: number): boolean => random.next() < probability
const pick = <A>(random: SeededRandom, items: ReadonlyArray<A>): A => items[random.between(0, items.length - 1)]!
const bytes = (random: SeededRandom): Uint8Array =>
  Uint8Array.from(
    { length: chance(random, 0.1) ? random.between(0, 5000) : random.between(0, 40) },
    () => random.between(0, 255)
  )

/** A random record over a small set of keys, so that changes concern the same keys. */
export const anyRecord = (random: SeededRandom): StoreRecord.StoreRecord => {
  const qos = pick<QoS>(random, [0, 1, 2])
  switch (random.between(0, 8)) {
    case 0:
      return inbound(random.between(1, 4), chance(random, 0.5))
    case 1:
      return subscription(pick(random, ["a", "a/+", "a/#", "A"]), {
        qos,
        noLocal: chance(random, 0.5),
        retainAsPublished: chance(random, 0.5),
        subscriptionIdentifier: random.between(0, 268_435_455)
      })
    case 2:
      return identity(pick(random, unusualTexts), {
        protocolVersion: pick(random, [4, 5]),
        sessionExpiryInterval: chance(random, 0.5) ? undefined : random.between(0, 0xffffffff)
      })
    case 3:
      return origin(pick(random, ["a", "a/1", "A"]), random.between(1, 3), `i@${random.between(1, 9)}`)
    default:
      return outbound(pick(random, [1, 2, 3, 9, 10, 11, 2 ** 31, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER]), {
        state: pick(random, ["queued", "publishing", "releasing"]),
        packetIdentifier: random.between(0, 65_535),
        topic: pick(random, unusualTexts),
        payload: bytes(random),
        qos,
        retain: chance(random, 0.5),
        properties: chance(random, 0.5) ? {} : {
          contentType: pick(random, unusualTexts),
          correlationData: bytes(random),
          userProperties: [[pick(random, unusualTexts), pick(random, unusualTexts)]]
        },
        expiresAt: chance(random, 0.5) ? undefined : random.between(0, 2 ** 42)
      })
  }
}
