/**
 * Runs one side against the scripted peer and counts on both ends.
 */
import { Effect, type Scope } from "effect"
import { Child, sleep } from "../harness/child.ts"
import type { Fixtures } from "../harness/fixtures.ts"
import type { Parts, Plan, Source } from "../harness/model.ts"
import type {
  Conditions,
  PeerReply,
  PeerRequest,
  PeerSample,
  Side,
  SideReply,
  SideRequest,
  SideSample
} from "./contract.ts"

const peerPath = new URL("./peer.js", import.meta.url)
const sidePaths = {
  raw: new URL("./rawSide.js", import.meta.url),
  session: new URL("./sessionSide.js", import.meta.url),
  socket: new URL("./socketSide.js", import.meta.url)
}

type PeerChild = Child<PeerRequest, PeerReply>
type SideChild = Child<SideRequest, SideReply>

export interface Peer {
  readonly child: PeerChild
  readonly port: number
}

const makePeer = (payloadBytes: number): Effect.Effect<Peer, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const child = yield* Effect.acquireRelease(
      Effect.sync((): PeerChild => new Child(peerPath, { args: [String(payloadBytes)] })),
      (child) => Effect.promise(() => child.end())
    )
    const { port } = yield* Effect.tryPromise(() => child.next("Listening"))
    return { child, port }
  })

/** The scripted peer, which floods subscriptions with payloads of this size. */
export const peerOf = (fixtures: Fixtures, payloadBytes: number): Promise<Peer> =>
  fixtures.get(`peer ${payloadBytes}`, makePeer(payloadBytes))

/**
 * A side as a source with two parts: `rate`, messages a second, and `perCpu`, messages for each second of the side's
 * processor time.
 */
export const sideSource = (side: Side): Source => ({
  name: sourceName(side),
  measure: async (plan, fixtures) => {
    const payloadBytes = side.payloadBytes ?? plan.payloadBytes
    const peer = await peerOf(fixtures, payloadBytes)
    return measure(peer, side, { port: peer.port, protocolVersion: plan.protocolVersion, payloadBytes }, plan)
  }
})

const measure = async (peer: Peer, side: Side, conditions: Conditions, plan: Plan): Promise<Parts> => {
  await peer.child.ask({ _tag: "Reset" }, "Sample")
  const child: SideChild = new Child(sidePaths[side.client], {
    args: [JSON.stringify(side), JSON.stringify(conditions)],
    nodeOptions: plan.nodeOptions
  })
  try {
    await child.next("Ready")
    await sleep(plan.warmUp * 1000)
    const before = await sampleBoth(peer.child, child)
    await sleep(plan.seconds * 1000)
    const after = await sampleBoth(peer.child, child)

    const expected = isReceiving(side) ? (await peer.child.ask({ _tag: "StopFlood" }, "Sample")).sent : 0
    const stopped = await child.ask({ _tag: "Stop", expected }, "Stopped")
    const total = await settledPeer(peer.child, side, stopped.count)

    const millis = after.client.at - before.client.at
    const rate = 1000 * (confirmedByPeer(side)
      ? (confirmations(side, after.peer) - confirmations(side, before.peer)) / (after.peer.at - before.peer.at)
      : (after.client.count - before.client.count) / millis)
    // Busy processors of the side, 1 for a whole one.
    const load = (after.client.cpu - before.client.cpu) / 1000 / millis
    const cpu = load / rate * 1e6
    const notes = [stopped.note, discrepancy(side, stopped.count, expected, total)].filter((text) => text !== "")
    const note = notes.length === 0 ? {} : { note: notes.join("; ") }
    return { rate: { value: rate, cpu, ...note }, perCpu: { value: rate / load, cpu, ...note } }
  } finally {
    await child.end()
  }
}

const isReceiving = ({ mode }: Side): boolean =>
  mode === "onMessage" || mode === "batches" || mode === "messages" || mode === "receive"

/** Only the receiver counts QoS 0 messages that it gets; the peer counts everything else. */
const confirmedByPeer = (side: Side): boolean => !(isReceiving(side) && side.qos === 0)

const confirmations = (side: Side, sample: PeerSample): number =>
  isReceiving(side) ? sample.acknowledged : sample.received

/** Both sides of the account after the end must agree to the message. */
const discrepancy = (side: Side, count: number, expected: number, peer: PeerSample): string => {
  if (peer.fault !== "") return `the peer closed: ${peer.fault}`
  if (!isReceiving(side)) return peer.received === count ? "" : `${count} settled, but the peer got ${peer.received}`
  if (count !== expected) return `${count} of ${expected} arrived`
  if (side.qos === 1 && peer.acknowledged !== expected) return `${peer.acknowledged} of ${expected} acknowledged`
  return ""
}

/** The peer's account, once the last packets have travelled. */
const settledPeer = async (peer: PeerChild, side: Side, count: number): Promise<PeerSample> => {
  for (let attempt = 0;; attempt++) {
    const sample = await peer.ask({ _tag: "Sample" }, "Sample")
    if (!confirmedByPeer(side) || confirmations(side, sample) >= count || attempt === 20) return sample
    await sleep(25)
  }
}

const sampleBoth = async (
  peer: PeerChild,
  child: SideChild
): Promise<{ readonly peer: PeerSample; readonly client: SideSample }> => {
  const [peerSample, client] = await Promise.all([
    peer.ask({ _tag: "Sample" }, "Sample"),
    child.ask({ _tag: "Sample" }, "Sample")
  ])
  return { peer: peerSample, client }
}

/** What a reader of a table calls this use of a client. */
export const nameOf = (side: Side): string => {
  switch (side.mode) {
    case "onMessage":
      return `on("message")`
    case "callback":
      return `publish(callback) x${side.outstanding}`
    case "async":
      return `publishAsync x${side.outstanding}`
    case "bare":
      return "publish(), drain"
    case "publish":
      return `publish x${side.outstanding}`
    case "receive":
      return "bare socket"
    case "send":
      return side.qos === 0 ? "bare socket" : `bare socket x${side.outstanding}`
    default:
      return side.mode
  }
}

const sourceName = (side: Side): string =>
  [
    side.client === "raw" ? "MQTT.js" : side.client,
    nameOf(side),
    `QoS ${side.qos}`,
    ...(side.watched === true ? ["metrics"] : []),
    ...(side.streams === undefined ? [] : [`${side.streams} streams`]),
    ...(side.idleFilters === undefined ? [] : [`${side.idleFilters} other filters`]),
    ...(side.payloadBytes === undefined ? [] : [`${side.payloadBytes} B`])
  ].join(", ")
