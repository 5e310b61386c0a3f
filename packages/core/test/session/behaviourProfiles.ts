/**
 * The profiles of the scripted broker as environments of the behaviour suite: for each one what sessions are told about
 * the server, and the tests that cannot pass there, with the reason.
 */
import type { ProfileName } from "@effect-mqttx/testing/ScriptedBroker"
import { names } from "./behaviour.ts"
import type { Options } from "./behaviourWorld.ts"

export interface Profiled {
  readonly profile: ProfileName
  readonly version: 4 | 5
  readonly serverLimits?: Options<never>["serverLimits"]
  readonly skip: Readonly<Record<string, string>>
}

const because = (reason: string, tests: ReadonlyArray<string>): Readonly<Record<string, string>> =>
  Object.fromEntries(tests.map((test) => [test, reason]))

const withoutQoS2 = because("the server has no QoS 2: a session refuses it with NotSupported", [
  "drain finishes what was accepted",
  "delivers text, bytes, an empty and a large payload at QoS 2",
  "a message arrives with the lower quality of service of publisher and subscriber",
  "keeps the order of publishes of one quality of service",
  "publishAll publishes a stream at QoS 2 and counts it",
  "a subscription says what was granted",
  "each of several streams on overlapping filters gets each message once",
  "a stream that asks for a higher quality of service upgrades the subscription",
  "manual, QoS 2: what was not acknowledged comes again after a reconnect, the rest does not",
  "on receive: messages that were delivered are acknowledged when more are pulled",
  "interrupting a consumer without a reconnect: the next run begins with the message that it had received",
  "a stalled stream delays neither publishes nor QoS 0 nor other streams",
  "Stream.take, QoS 2: messages that were not delivered come after a restart, and delivered ones do not",
  "Stream.runHead, QoS 2: messages that were not delivered come after a restart, and delivered ones do not",
  "Stream.takeUntil, QoS 2: messages that were not delivered come after a restart, and delivered ones do not",
  "a failure in the third message, QoS 2: messages that were not delivered come after a restart, and delivered ones do not",
  "an interruption in the third message, QoS 2: messages that were not delivered come after a restart, and delivered ones do not",
  "batches, QoS 2: an array is acknowledged as a whole",
  "Stream.buffer, QoS 2: messages that it has pulled count as delivered",
  "two consumers of a filter, QoS 2: messages that one has not finished come after a restart",
  "two consumers of a filter, QoS 2: what an interrupted one has not finished goes to its successor",
  "consumers with names, QoS 2: a restart knows who still has to see a message",
  "a handler publishes and awaits the acknowledgement",
  "streams and publishes continue through a reconnect",
  "cuts on both sides in the middle of QoS 1 and 2 traffic: QoS 1 loses none, QoS 2 comes exactly once",
  "an interrupted publish whose bytes were sent finishes without an error",
  "durable: what was accepted without a connection is sent after a restart, in order and once",
  "connectionInfo says what the server granted, and nothing without a connection",
  "a refused publish fails with the server's reason code"
])

const withoutRetain = because("the server keeps no retained messages: a session refuses them with NotSupported", [
  "a retained will with properties arrives as it was given",
  "retained messages reach later subscribers until an empty one clears them",
  "subscribe is a stream that subscribes while it runs",
  "every stream that joins gets the retained message, and only that one",
  "only the first stream on a filter gets the retained message where the options say so",
  "a stream gets no retained message where the options say so",
  "a stream that wants no retained message gets none after a reconnect either",
  "durable: after a restart the session subscribes once more, and gets no retained copies by that",
  "retain as published keeps the flag of live messages"
])

const withoutShared = because("the server has no shared subscriptions: a session refuses them with NotSupported", [
  "sessions that share a subscription share its messages"
])

const wildcardsBringNoRetained = because("a subscription with a wildcard brings no retained messages here", [
  "a retained will with properties arrives as it was given"
])

const aliases = because("a topic alias of the server stays in the properties of the message", [
  "message properties arrive as they were given"
])

const onAws = {
  ...withoutQoS2,
  ...wildcardsBringNoRetained,
  ...because("a payload has at most 128 KB: a session refuses a larger one with PacketTooLarge", [
    "delivers text, bytes, an empty and a large payload at QoS 0",
    "delivers text, bytes, an empty and a large payload at QoS 1"
  ]),
  ...because("a/# does not match a here", ["wildcards match as MQTT says, and not topics that begin with $"])
}

const onEventGrid = {
  ...withoutQoS2,
  ...withoutRetain,
  ...withoutShared,
  ...because("at most 100 messages wait for a client that is away", [
    "durable: nothing is lost when the server restarts"
  ])
}

const onRabbitMq = {
  ...withoutQoS2,
  ...withoutShared,
  ...wildcardsBringNoRetained,
  ...because("the server has at most 10 messages under way to a client", [
    "two consumers of a filter, QoS 1: messages that one has not finished come after a restart"
  ])
}

const onNats = {
  ...because("the test asks the server over MQTT 5 who is subscribed", [
    "the end of the scope leaves no socket and no subscription",
    "subscribe is a stream that subscribes while it runs",
    "interrupting a subscription that waits for the server leaves none",
    "a refused subscription fails its stream with the server's reason code, and only that",
    "unsubscribe ends the messages of every stream on the filter",
    "streams on one filter share one subscription, and the last one's end removes it",
    "a filter of an ended stream goes, those that others use stay",
    "a stream that ends and one that begins on the same filter do not disturb each other",
    "after a lost session exactly the live subscriptions return",
    "without keep the server has no subscription left when the stream has ended",
    "drain waits for the handlers that run, and takes nothing new",
    "process: begins clean and is resumed at every reconnect",
    "process: the server keeps nothing after the end",
    "none: the server keeps nothing after the end",
    "durable: after a restart the session gets what was published meanwhile"
  ]),
  ...because("the test needs MQTT 5", ["invalid publish options are refused"]),
  ...because("a topic with a blank ends the connection here", ["topics may hold any text"])
}

/** The tests that need no topic. */
const onIotHub: ReadonlySet<string> = new Set([
  "connects, becomes ready, and reports it in order",
  "statusChanges begins with the status now and follows the session to its end",
  "awaitReady succeeds again and again while the session is ready",
  "makes a client identifier of the session's name where none is given",
  "layerConfig takes the options from Config",
  "invalid options are refused with every issue",
  "a drained session refuses everything with Closed, and drains again at once",
  "drain without a connection ends in its time and settles what was accepted with Closed",
  "interrupting a session that cannot connect ends it at once",
  "wrong credentials fail awaitReady and operations, and are not tried again soon",
  "right credentials are accepted, in options and in the address",
  "a permanent failure stops the session where the options say so",
  "message properties are NotSupported on 3.1.1",
  "an invalid topic is refused with the place that is wrong",
  "interrupting publishAll withdraws what is still queued",
  "a message that is no longer worth sending fails with Expired",
  "a full queue fails the publisher where the options say so",
  "subscription options of MQTT 5 are NotSupported on 3.1.1",
  "an invalid filter is refused with the place that is wrong",
  "invalid subscribe options are refused",
  "consume fails with what is wrong with its filter",
  "reports a loss and the return in order",
  "keeps trying while the server is away, by its schedule",
  "a server that failed a moment ago is tried last",
  "durable: a session name is owned by one session at a time"
])

/** What sessions are told, as docs/clouds.md says it. */
const aws = { filtersPerSubscribe: 8, subscriptions: 50 }
const eventGrid = { filtersPerSubscribe: 10, subscriptions: 50 }

export const profiles: ReadonlyArray<Profiled> = [
  {
    profile: "aws-iot",
    version: 4,
    serverLimits: { ...aws, maximumQoS: 1, maximumPacketSize: 131_072 },
    skip: onAws
  },
  { profile: "aws-iot", version: 5, serverLimits: aws, skip: onAws },
  {
    profile: "azure-event-grid",
    version: 4,
    serverLimits: {
      ...eventGrid,
      maximumQoS: 1,
      maximumPacketSize: 524_288,
      retainAvailable: false,
      sharedSubscriptionAvailable: false
    },
    skip: onEventGrid
  },
  { profile: "azure-event-grid", version: 5, serverLimits: eventGrid, skip: onEventGrid },
  { profile: "hivemq-cloud", version: 4, skip: {} },
  { profile: "hivemq-cloud", version: 5, skip: {} },
  { profile: "emqx", version: 4, serverLimits: { maximumPacketSize: 1_048_576, subscriptions: 10 }, skip: {} },
  { profile: "emqx", version: 5, serverLimits: { subscriptions: 10 }, skip: {} },
  {
    profile: "rabbitmq",
    version: 4,
    serverLimits: { maximumQoS: 1, sharedSubscriptionAvailable: false },
    skip: onRabbitMq
  },
  { profile: "rabbitmq", version: 5, skip: onRabbitMq },
  { profile: "nats", version: 4, skip: onNats },
  { profile: "mosquitto-2.0", version: 4, skip: {} },
  { profile: "mosquitto-2.0", version: 5, skip: {} },
  { profile: "mosquitto-2.1", version: 4, skip: {} },
  { profile: "mosquitto-2.1", version: 5, skip: aliases },
  {
    profile: "azure-iot-hub",
    version: 4,
    serverLimits: { maximumQoS: 1, maximumPacketSize: 262_144, subscriptions: 5 },
    skip: because("IoT Hub is no broker: it has topics of its own", names.filter((name) => !onIotHub.has(name)))
  }
]
