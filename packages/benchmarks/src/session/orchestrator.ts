/**
 * Runs the sides of the session benchmark, each in a process of its own, interleaved, against one peer.
 */
import { type ChildProcess, fork } from "node:child_process"
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

export interface Plan {
  readonly runs: number
  readonly warmUpMillis: number
  readonly measureMillis: number
  readonly protocolVersion: 4 | 5
  readonly payloadBytes: number
  /** Options of Node for the sides, for example `--cpu-prof`. */
  readonly sideOptions: ReadonlyArray<string>
}

/** One run of one side. */
export interface Run {
  /** Messages a second. */
  readonly rate: number
  /** Share of the time that the processors of both processes were busy. */
  readonly sideLoad: number
  readonly peerLoad: number
  readonly note: string
}

const peerPath = new URL("./peer.js", import.meta.url)
const sidePaths = {
  raw: new URL("./rawSide.js", import.meta.url),
  session: new URL("./sessionSide.js", import.meta.url)
}

/** A longer silence of a process is the end of the benchmark. */
const answerMillis = 15_000

/** A child process that answers each request with one message. */
class Child<Request, Reply extends { readonly _tag: string }> {
  readonly #process: ChildProcess
  #waiting: { readonly resolve: (reply: Reply) => void; readonly reject: (error: Error) => void } | undefined
  readonly exited: Promise<void>

  constructor(path: URL, args: ReadonlyArray<string>, nodeOptions: ReadonlyArray<string>) {
    this.#process = fork(path, args, { execArgv: [...nodeOptions], stdio: ["ignore", "inherit", "inherit", "ipc"] })
    this.#process.on("message", (reply) => this.#waiting?.resolve(reply as Reply))
    this.exited = new Promise((resolve) =>
      this.#process.on("exit", (code, signal) => {
        this.#waiting?.reject(new Error(`${path.pathname} ended with ${code ?? signal}`))
        resolve()
      })
    )
  }

  /** The next message, which the child sends by itself or as its answer. */
  next(): Promise<Reply> {
    return new Promise<Reply>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("a process of the benchmark keeps silent")), answerMillis)
      this.#waiting = { resolve, reject }
      this.exited.finally(() => clearTimeout(timer))
    }).finally(() => {
      this.#waiting = undefined
    })
  }

  ask(request: Request): Promise<Reply> {
    const reply = this.next()
    this.tell(request)
    return reply
  }

  tell(request: Request): void {
    if (this.#process.connected) this.#process.send(request as object)
  }

  kill(): void {
    this.#process.kill("SIGKILL")
  }

  disconnect(): void {
    if (this.#process.connected) this.#process.disconnect()
  }
}

type Peer = Child<PeerRequest, PeerReply>

/**
 * Measures all sides `runs` times: A B C A B C, so that what else the machine does hits all alike.
 */
export const measure = async (
  sides: ReadonlyArray<Side>,
  plan: Plan,
  onRun: (side: Side, run: Run) => void
): Promise<ReadonlyArray<ReadonlyArray<Run>>> => {
  const peer: Peer = new Child(peerPath, [String(plan.payloadBytes)], [])
  try {
    const listening = await peer.next()
    if (listening._tag !== "Listening") throw new Error("the peer did not start")
    const conditions: Conditions = {
      port: listening.port,
      protocolVersion: plan.protocolVersion,
      payloadBytes: plan.payloadBytes
    }
    const results: Array<Array<Run>> = sides.map(() => [])
    for (let run = 0; run < plan.runs; run++) {
      for (let i = 0; i < sides.length; i++) {
        const result = await measureOnce(peer, sides[i]!, conditions, plan)
        results[i]!.push(result)
        onRun(sides[i]!, result)
      }
    }
    return results
  } finally {
    peer.disconnect()
    await peer.exited
  }
}

const measureOnce = async (peer: Peer, side: Side, conditions: Conditions, plan: Plan): Promise<Run> => {
  await askPeer(peer, { _tag: "Reset" })
  const child = new Child<SideRequest, SideReply>(
    sidePaths[side.client],
    [JSON.stringify(side), JSON.stringify(conditions)],
    plan.sideOptions
  )
  try {
    await child.next()
    await sleep(plan.warmUpMillis)
    const before = await sampleBoth(peer, child)
    await sleep(plan.measureMillis)
    const after = await sampleBoth(peer, child)

    const receives = isReceiving(side)
    const expected = receives ? (await askPeer(peer, { _tag: "StopFlood" })).sent : 0
    const stopped = await child.ask({ _tag: "Stop", expected })
    if (stopped._tag !== "Stopped") throw new Error("the side did not stop")
    const total = await settledPeer(peer, side, stopped.count)

    const client = { count: after.client.count - before.client.count, millis: after.client.at - before.client.at }
    const peerMillis = after.peer.at - before.peer.at
    const rate = confirmedByPeer(side)
      ? (confirmations(side, after.peer) - confirmations(side, before.peer)) / peerMillis
      : client.count / client.millis
    return {
      rate: rate * 1000,
      sideLoad: (after.client.cpu - before.client.cpu) / 1000 / client.millis,
      peerLoad: (after.peer.cpu - before.peer.cpu) / 1000 / peerMillis,
      note: [stopped.note, discrepancy(side, stopped.count, expected, total)].filter((text) => text !== "").join("; ")
    }
  } finally {
    child.tell({ _tag: "Exit" })
    const timer = setTimeout(() => child.kill(), 5000)
    await child.exited
    clearTimeout(timer)
  }
}

const isReceiving = (side: Side): boolean =>
  side.mode === "onMessage" || side.mode === "batches" || side.mode === "messages"

/** A received QoS 0 message is confirmed by nobody but the receiver's handler; everything else the peer counts. */
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
const settledPeer = async (peer: Peer, side: Side, count: number): Promise<PeerSample> => {
  for (let attempt = 0;; attempt++) {
    const sample = await askPeer(peer, { _tag: "Sample" })
    if (!confirmedByPeer(side) || confirmations(side, sample) >= count || attempt === 20) return sample
    await sleep(25)
  }
}

const sampleBoth = async (
  peer: Peer,
  child: Child<SideRequest, SideReply>
): Promise<{ readonly peer: PeerSample; readonly client: SideSample }> => {
  const [peerSample, client] = await Promise.all([askPeer(peer, { _tag: "Sample" }), child.ask({ _tag: "Sample" })])
  if (client._tag !== "Sample") throw new Error("the side did not answer")
  return { peer: peerSample, client }
}

const askPeer = async (peer: Peer, request: PeerRequest): Promise<PeerSample> => {
  const reply = await peer.ask(request)
  if (reply._tag !== "Sample") throw new Error("the peer did not answer")
  return reply
}

const sleep = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))
