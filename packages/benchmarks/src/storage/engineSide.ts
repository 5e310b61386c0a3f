/**
 * The engines by themselves, writing the bytes that a session writes: one write after the other, so many records in
 * each.
 */
import { StoreRecord, StoreRecordCodec } from "@effect-mqttx/core"
import { ClassicLevel } from "classic-level"
import { createClient } from "redis"
import { cpuSince } from "../harness/child.ts"
import { setups, type SideRequest, type SideResult } from "./contract.ts"
import { sampleRecord } from "./sampleRecord.ts"

const record = (sequence: number): readonly [key: string, value: Uint8Array] => {
  const outbound = sampleRecord(sequence)
  return [StoreRecord.keyOf(outbound), StoreRecordCodec.encode(outbound)]
}

type Write = (records: ReadonlyArray<readonly [key: string, value: Uint8Array]>) => Promise<unknown>

const openLevel = async (
  directory: string,
  sync: boolean,
  isFastest: boolean
): Promise<[Write, () => Promise<unknown>]> => {
  const database = new ClassicLevel<string, Uint8Array>(directory, { valueEncoding: "view" })
  await database.open()
  const inOneCall: Write = (records) =>
    database.batch(records.map(([key, value]) => ({ type: "put", key, value })), { sync })
  const collected: Write = (records) => {
    const batch = database.batch()
    for (const [key, value] of records) batch.put(key, value)
    return batch.write({ sync })
  }
  return [isFastest ? collected : inOneCall, () => database.close()]
}

const openRedis = async (url: string, isFastest: boolean): Promise<[Write, () => Promise<unknown>]> => {
  const client = createClient({ url })
  await client.connect()
  const inTransaction: Write = (records) => {
    const multi = client.multi()
    for (const [key, value] of records) multi.hSet("engine", key, Buffer.from(value))
    return multi.exec()
  }
  const inOneCommand: Write = (records) => {
    const words: Array<string | Buffer> = ["HSET", "engine"]
    for (const [key, value] of records) words.push(key, Buffer.from(value.buffer, value.byteOffset, value.length))
    return client.sendCommand(words)
  }
  return [isFastest ? inOneCommand : inTransaction, () => client.close()]
}

export const measureEngine = async ({ millis, place, setup, side, size }: SideRequest): Promise<SideResult> => {
  const { engine, sync } = setups[setup]
  const isFastest = side === "fastest"
  const [write, close] = engine === "LevelDB"
    ? await openLevel(place, sync, isFastest)
    : await openRedis(place, isFastest)
  let sequence = 1
  const run = async (until: number): Promise<number> => {
    let written = 0
    while (performance.now() < until) {
      await write(Array.from({ length: size }, () => record(sequence++)))
      written += size
    }
    return written
  }
  await run(performance.now() + millis / 4)
  const [begin, before] = [performance.now(), process.cpuUsage()]
  const written = await run(begin + millis)
  const rate = written / ((performance.now() - begin) / 1000)
  const cpu = cpuSince(before) / written
  await close()
  return { rate, cpu, batch: size }
}
