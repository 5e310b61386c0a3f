/**
 * A mosquitto between the brokers of a drill, with one bridge to each: the contrast to the gateway. It keeps its state
 * on the disk. It reads its file again on SIGHUP, which changes no bridge in mosquitto 2.0.11, so a change is applied
 * as an operator has to: SIGHUP, then an orderly end and a start. `reload.ts` runs it.
 */
import * as Effect from "effect/Effect"
import { type ChildProcess, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { type Bridge, endProcess, type Links } from "./bridge.ts"
import { freePort } from "./freePort.ts"

const address = (url: string): string => new URL(url).host

const fileOf = ({ a, b }: Links, folder: string, port: number, qos: 1 | 2, round: number): string => `
listener ${port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location ${folder}/
autosave_interval 1
max_queued_messages 0
max_inflight_messages 1000
${
  [["from", a, "in"], ["to", b, "out"]].map(([name, url, direction]) => `
connection ${name}
address ${address(url!)}
topic drill/# ${direction} ${qos}
cleansession false
local_cleansession false
restart_timeout 1
bridge_protocol_version mqttv311
keepalive_interval ${round % 2 === 0 ? 60 : 30}
`).join("")
}`

export class MosquittoBridge implements Bridge {
  readonly #folder: string
  readonly #links: Links
  readonly #qos: 1 | 2
  #port = 0
  #child: ChildProcess | undefined

  constructor(folder: string, links: Links, qos: 1 | 2) {
    // As root it runs as a user of its own.
    Fs.chmodSync(folder, 0o777)
    this.#folder = folder
    this.#links = links
    this.#qos = qos
  }

  get #file(): string {
    return Path.join(this.#folder, "bridge.conf")
  }

  #write(round: number): void {
    Fs.writeFileSync(this.#file, fileOf(this.#links, this.#folder, this.#port, this.#qos, round))
  }

  get start(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      if (this.#port === 0) {
        this.#port = yield* freePort
        this.#write(0)
      }
      this.#child = spawn("mosquitto", ["-c", this.#file], { stdio: "ignore" })
      this.#child.on("error", () => {})
    })
  }

  reload(round: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#write(round)
      this.#child?.kill("SIGHUP")
      return Effect.andThen(this.end("SIGTERM"), this.start)
    })
  }

  end(signal: "SIGTERM" | "SIGKILL"): Effect.Effect<void> {
    return Effect.suspend(() => endProcess(this.#child, signal))
  }
}
