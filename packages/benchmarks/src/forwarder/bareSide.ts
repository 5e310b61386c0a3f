/**
 * The limit of the forwarder rows, in a process of its own: two bare sockets that copy PUBLISH packets from one broker
 * to the other as they are, and PUBACK packets back, with one write for each read. It knows no loops and loses
 * everything with a connection.
 *
 * Packet identifiers stay what they are: those of the source's broker are different while they are in use.
 */
import type * as net from "node:net"
import { filter } from "../session/contract.ts"
import { connect, frames, subscribePacket } from "../wire.ts"
import type { ForwarderRequest } from "./contract.ts"

const { protocolVersion, qos, source, target } = JSON.parse(process.argv[2]!) as ForwarderRequest

process.on("disconnect", () => process.exit(0))

const publish = 3
const puback = 4
const suback = 9

const from = await connect({ clientId: "bare-source", port: source, protocolVersion })
const to = await connect({ clientId: "bare-target", port: target, protocolVersion })
let forwarded = 0

/** Copies the packets of one type, and calls back for the others. */
const copy = (reads: net.Socket, writes: net.Socket, type: number, onOther: (type: number) => void): void => {
  let copied: Array<Buffer> = []
  const read = frames((chunk, at, _body, end) => {
    const found = chunk[at]! >> 4
    if (found === type) copied.push(chunk.subarray(at, end))
    else onOther(found)
  })
  reads.on("data", (chunk: Buffer) => {
    read(chunk)
    if (copied.length === 0) return
    writes.write(copied.length === 1 ? copied[0]! : Buffer.concat(copied))
    if (type === publish) forwarded += copied.length
    copied = []
  })
}

copy(from, to, publish, (type) => {
  if (type === suback) process.send!({ _tag: "Ready" })
})
copy(to, from, puback, () => {})
process.on("message", () => {
  const { system, user } = process.cpuUsage()
  process.send!({ _tag: "Sample", forwarded, cpu: user + system })
})
from.write(subscribePacket(protocolVersion, filter, qos))
