/**
 * The memory of an idle session beside an idle MQTT.js client: a figure, not a promise.
 */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"

interface Usage {
  readonly heap: number
  readonly resident: number
}

/** Measures and prints the table. */
export const benchmarkMemory = async (sessions: number): Promise<void> => {
  const peer = fork(new URL("./peer.js", import.meta.url), ["64", "idle"])
  try {
    const { port } = await answer<{ readonly port: number }>(peer)
    console.log(
      `Idle connections with one subscription each, ${sessions} in one process, KiB each, Node ${process.version}`
    )
    for (const client of ["session", "raw"]) {
      const side = fork(new URL("./memorySide.js", import.meta.url), [client, String(port), String(sessions)], {
        execArgv: ["--expose-gc"]
      })
      const { heap, resident } = await answer<Usage>(side)
      console.log(
        `${client === "raw" ? "MQTT.js" : "session"}: ${heap} on the heap and in buffers, ${resident} resident`
      )
    }
  } finally {
    peer.disconnect()
  }
}

const answer = async <A>(child: ChildProcess): Promise<A> => {
  const exit = once(child, "exit").then(() => Promise.reject(new Error("a process of the benchmark ended early")))
  const [message] = await Promise.race([once(child, "message"), exit])
  exit.catch(() => {})
  return message as A
}
