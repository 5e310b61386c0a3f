/**
 * The codec and mqtt-packet on one workload: processor nanoseconds for each PUBLISH.
 *
 * Both run in one process and take turns of milliseconds, because a function of nanoseconds moves more with the speed
 * of the processor than with anything else.
 */
import { makeDecoder, makeEncoder } from "@effect-mqttx/core/Codec"
import type { Packet, Publish } from "@effect-mqttx/core/Packet"
import * as Properties from "@effect-mqttx/core/Properties"
import type { ProtocolVersion } from "@effect-mqttx/core/QoS"
import mqttPacket from "mqtt-packet"
import { answerWith } from "../harness/child.ts"
import { median } from "../harness/median.ts"
import type { CodecRequest, CodecResult, Workload } from "./contract.ts"

/** Runs some packets and says how many. */
type Side = () => number

const rounds = 21
const roundMillis = 12
const warmUpMillis = 60
const topicCount = 64
const chunkBytes = 65_536
// What one loop turn of a busy session writes.
const batch = 64

const topicOf = (index: number): string => `plant/line${index % 4}/sensor${index}/temperature`

const userProperties: ReadonlyArray<readonly [string, string]> = [["unit", "celsius"], ["source", "gateway-7"]]

const ourPackets = (workload: Workload): Array<Publish> =>
  Array.from({ length: topicCount }, (_, index) => ({
    _tag: "Publish",
    topic: topicOf(index),
    payload: new Uint8Array(workload.bytes).fill(index),
    qos: workload.qos,
    retain: false,
    dup: false,
    packetIdentifier: workload.qos === 0 ? 0 : index + 1,
    properties: workload.withProperties
      ? { messageExpiryInterval: 60 + index, contentType: "application/json", userProperties }
      : Properties.none
  }))

const theirPackets = (workload: Workload): Array<mqttPacket.IPublishPacket> =>
  ourPackets(workload).map(({ packetIdentifier, payload, qos, topic }, index) => {
    const packet: mqttPacket.IPublishPacket = {
      cmd: "publish",
      topic,
      payload: Buffer.from(payload),
      qos,
      retain: false,
      dup: false
    }
    if (qos > 0) {
      packet.messageId = packetIdentifier
    }
    if (workload.withProperties) {
      packet.properties = {
        messageExpiryInterval: 60 + index,
        contentType: "application/json",
        userProperties: Object.fromEntries(userProperties)
      }
    }
    return packet
  })

const encodeAll = (packets: ReadonlyArray<Packet>, version: ProtocolVersion): Buffer => {
  const encoder = makeEncoder(version)
  for (const packet of packets) {
    const failure = encoder.write(packet)
    if (failure !== undefined) {
      throw new Error(failure.detail)
    }
  }
  return Buffer.concat(encoder.take())
}

/** A stream of whole packets in chunks that cut packets, as a socket delivers it. */
const chunksOf = (workload: Workload): { readonly chunks: Array<Buffer>; readonly packets: number } => {
  const once = encodeAll(ourPackets(workload), workload.version)
  const times = Math.max(1, Math.ceil((4 * chunkBytes) / once.length))
  const all = Buffer.concat(Array.from({ length: times }, () => once))
  const chunks: Array<Buffer> = []
  for (let position = 0; position < all.length; position += chunkBytes) {
    chunks.push(Buffer.from(all.subarray(position, position + chunkBytes)))
  }
  return { chunks, packets: times * topicCount }
}

let checksum = 0

const expectAll = (seen: number, packets: number): number => {
  if (seen !== packets) throw new Error(`${seen} packets in place of ${packets}`)
  return packets
}

const ourDecode = (workload: Workload): Side => {
  const { chunks, packets } = chunksOf(workload)
  // As a connection has it: both sides keep the chunks that they are given.
  const decoder = makeDecoder({
    role: "client",
    protocolVersion: workload.version,
    maximumPacketSize: 268_435_455,
    ownsChunks: true
  })
  const into: Array<Packet> = []
  return () => {
    let seen = 0
    for (const chunk of chunks) {
      const violation = decoder.push(chunk, into)
      if (violation !== undefined) {
        throw new Error(violation.detail)
      }
      for (const packet of into) {
        if (packet._tag === "Publish") {
          seen++
          checksum += packet.payload.length + packet.topic.length
        }
      }
      into.length = 0
    }
    return expectAll(seen, packets)
  }
}

const theirDecode = (workload: Workload): Side => {
  const { chunks, packets } = chunksOf(workload)
  const parser = mqttPacket.parser({ protocolVersion: workload.version })
  let seen = 0
  parser.on("packet", (packet) => {
    if (packet.cmd === "publish") {
      seen++
      checksum += packet.payload.length + packet.topic.length
    }
  })
  return () => {
    seen = 0
    for (const chunk of chunks) {
      parser.parse(chunk)
    }
    return expectAll(seen, packets)
  }
}

const ourEncode = (workload: Workload): Side => {
  const packets = ourPackets(workload)
  const encoder = makeEncoder(workload.version)
  return () => {
    for (let from = 0; from < packets.length; from += batch) {
      for (let i = from; i < from + batch; i++) {
        encoder.write(packets[i])
      }
      for (const chunk of encoder.take()) {
        checksum += chunk.length
      }
    }
    return packets.length
  }
}

const theirGenerate = (workload: Workload): Side => {
  const packets = theirPackets(workload)
  const options = { protocolVersion: workload.version }
  return () => {
    for (const packet of packets) {
      checksum += mqttPacket.generate(packet, options).length
    }
    return packets.length
  }
}

const writeToStream = mqttPacket.writeToStream as (
  packet: mqttPacket.Packet,
  stream: NodeJS.WritableStream,
  // The types leave the options out, which MQTT.js passes and without which no version 5 can be written.
  options: { readonly protocolVersion: number }
) => boolean

const theirWriteToStream = (workload: Workload): Side => {
  const packets = theirPackets(workload)
  const options = { protocolVersion: workload.version }
  let parts: Array<Buffer> = []
  const sink = {
    write: (part: Buffer | string): boolean => {
      parts.push(typeof part === "string" ? Buffer.from(part) : part)
      return true
    }
  } as unknown as NodeJS.WritableStream
  return () => {
    for (let from = 0; from < packets.length; from += batch) {
      for (let i = from; i < from + batch; i++) {
        writeToStream(packets[i], sink, options)
      }
      checksum += Buffer.concat(parts).length
      parts = []
    }
    return packets.length
  }
}

/**
 * Processor time, the garbage collector's included, since the clock on the wall also counts what other programs do.
 */
const run = (side: Side, millis: number): number => {
  const limit = performance.now() + millis
  const before = process.cpuUsage()
  let packets = 0
  while (performance.now() < limit) {
    packets += side()
  }
  const { system, user } = process.cpuUsage(before)
  return ((user + system) * 1000) / packets
}

const measure = async ({ direction, workload }: CodecRequest): Promise<CodecResult> => {
  const sides: Record<keyof CodecResult, Side | undefined> = direction === "decode"
    ? { ours: ourDecode(workload), other: theirDecode(workload), stream: undefined }
    : { ours: ourEncode(workload), other: theirGenerate(workload), stream: theirWriteToStream(workload) }
  const all = Object.entries(sides).flatMap(([name, side]) => side === undefined ? [] : [{ name, side }])
  for (const { side } of all) run(side, warmUpMillis)
  // Every round runs every side, so that a slow moment of the machine hits all of them.
  const times = Array.from({ length: rounds }, () => all.map(({ side }) => run(side, roundMillis)))
  // A result that depends on the checksum: no side's work can be optimised away.
  if (checksum === 0) throw new Error("nothing was read or written")
  return Object.fromEntries(
    all.map(({ name }, index) => [name, median(times.map((round) => round[index]!))])
  ) as unknown as CodecResult
}

answerWith(measure)
