/**
 * Runs messages from one client through a real mosquitto to another one: a fixed number of messages, so that all
 * clients do the same and nothing is dropped.
 */
import { MosquittoBroker } from "@effect-mqttx/testing"
import { spawn } from "node:child_process"
import { mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Child, sleep } from "../harness/child.ts"
import type { Fixtures } from "../harness/fixtures.ts"
import type { Parts, Plan, Source } from "../harness/model.ts"
import { type EndReply, type EndRequest, filter, type RunRequest, topics } from "./contract.ts"

export interface NetworkCase {
  readonly network: "tcp" | "tls" | "ws" | "wss"
  readonly qos: 0 | 1 | 2
  readonly payloadBytes: number
}

/** About what mosquitto carries in a second, which makes a run as long as the flags say. */
const messagesPerSecond = { 0: 60_000, 1: 30_000, 2: 10_000 }

const countOf = ({ qos }: NetworkCase, seconds: number): number => Math.ceil(messagesPerSecond[qos] * seconds)

// Nothing may be dropped, and mosquitto's default window of 20 would measure the distance of the processes.
const config = ["max_inflight_messages 1000", "max_queued_messages 0"]

export const brokerOf = (fixtures: Fixtures): Promise<MosquittoBroker.Service> =>
  fixtures.get(
    "e2e",
    MosquittoBroker.make({ config, tls: true, webSocket: true, secureWebSocket: true })
  )

const sidePath = new URL("./side.js", import.meta.url)
type End = Child<RunRequest, EndReply>

/** Two clients, each in a process of its own. The processor time is that of both. */
export const networkSource = (client: EndRequest["client"], conditions: NetworkCase): Source => ({
  name: `${
    client === "raw" ? "MQTT.js" : client
  }, end to end, QoS ${conditions.qos}, ${conditions.payloadBytes} B, ${conditions.network}`,
  measure: async (plan, fixtures) => {
    const { certificates, ports, urls } = await brokerOf(fixtures)
    const { network, payloadBytes, qos } = conditions
    const end = (role: EndRequest["role"]): End => {
      const request: EndRequest = {
        client,
        role,
        url: urls[network]!,
        port: ports[network]!,
        ...(network === "tls" || network === "wss" ? { ca: certificates!.ca } : {}),
        protocolVersion: plan.protocolVersion,
        qos,
        payloadBytes
      }
      return new Child(sidePath, { args: [JSON.stringify(request)], nodeOptions: plan.nodeOptions })
    }
    const [publisher, subscriber] = [end("publish"), end("receive")]
    try {
      await Promise.all([publisher.next("Ready"), subscriber.next("Ready")])
      const run = async (count: number): Promise<Parts> => {
        const begin = performance.now()
        const [received, sent] = await Promise.all([
          subscriber.ask({ _tag: "Run", count }, "Done"),
          publisher.ask({ _tag: "Run", count }, "Done")
        ])
        const seconds = (performance.now() - begin) / 1000
        return { rate: { value: count / seconds, cpu: (received.cpu + sent.cpu) / count } }
      }
      await run(countOf(conditions, plan.warmUp))
      return await run(countOf(conditions, plan.seconds))
    } finally {
      await Promise.all([publisher.end(), subscriber.end()])
    }
  }
})

/** Runs a program of mosquitto in a shell, and answers its processor time in microseconds. */
const runClient = (command: string, input: string | undefined): Promise<number> =>
  new Promise((resolve, reject) => {
    // The second line of `times` is the processor time of what the shell has run.
    const shell = spawn("sh", ["-c", `timeout 60 ${command} > /dev/null || exit 1; times`], {
      stdio: [input === undefined ? "ignore" : openSync(input, "r"), "pipe", "ignore"]
    })
    let output = ""
    shell.stdout!.on("data", (text) => {
      output += text
    })
    shell.on("error", reject)
    shell.on("close", (code) => {
      if (code !== 0) return reject(new Error(`${command} ended with ${code}`))
      const times = Array.from(output.split("\n")[1]!.matchAll(/(\d+)m([\d.]+)s/g))
      resolve(times.reduce((sum, [, minutes, seconds]) => sum + Number(minutes) * 60 + Number(seconds), 0) * 1e6)
    })
  })

const untilConnected = async (broker: MosquittoBroker.Service, clientId: string): Promise<void> => {
  for (let attempt = 0; !broker.log().includes(clientId); attempt++) {
    if (attempt === 100) throw new Error("mosquitto_sub does not connect")
    await sleep(20)
  }
  // It subscribes when it gets CONNACK, which nothing tells.
  await sleep(200)
}

let clients = 0

/** `mosquitto_pub -l` and `mosquitto_sub -C`. Their processor time includes their start, some milliseconds. */
export const mosquittoClients = (conditions: NetworkCase): Source => ({
  name: `mosquitto_pub and mosquitto_sub, QoS ${conditions.qos}, ${conditions.payloadBytes} B`,
  measure: async (plan: Plan, fixtures: Fixtures) => {
    const broker = await brokerOf(fixtures)
    const { payloadBytes, qos } = conditions
    const count = countOf(conditions, plan.seconds)
    const directory = mkdtempSync(join(tmpdir(), "bench-"))
    try {
      const lines = join(directory, "lines")
      writeFileSync(lines, `${"a".repeat(payloadBytes)}\n`.repeat(count))
      const version = plan.protocolVersion === 5 ? "mqttv5" : "mqttv311"
      const common = `-h 127.0.0.1 -p ${broker.ports.tcp} -q ${qos} -V ${version}`
      const name = `c-${process.pid}-${clients++}`
      // With its own default of 20, mosquitto_sub ends the connection when mosquitto sends 1000 at QoS 2.
      const window = plan.protocolVersion === 5 ? "-D connect receive-maximum 1024" : ""
      const receiving = runClient(`mosquitto_sub ${common} ${window} -i ${name} -t '${filter}' -C ${count}`, undefined)
      receiving.catch(() => {})
      await untilConnected(broker, name)
      const begin = performance.now()
      const [received, sent] = await Promise.all([
        receiving,
        runClient(`mosquitto_pub ${common} -M 1000 --nodelay -t '${topics[0]}' -l`, lines)
      ])
      const seconds = (performance.now() - begin) / 1000
      return { rate: { value: count / seconds, cpu: (received + sent) / count } }
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  }
})
