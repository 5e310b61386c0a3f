/**
 * The program `effect-mqttx` in a pseudo-terminal, by `script` of util-linux.
 */
import { Effect } from "effect"
import { spawn, spawnSync } from "node:child_process"
import { shellCommand } from "./program.ts"

/** Whether this machine can make pseudo-terminals. */
export const hasTerminal = spawnSync("script", ["-qec", "true", "/dev/null"]).status === 0

/** What the program writes on a terminal, standard output and standard error together, and its exit code. */
export const runInTerminal = (
  args: ReadonlyArray<string>
): Effect.Effect<{ readonly code: number | null; readonly screen: string }> =>
  Effect.flatMap(shellCommand(args), (command) =>
    Effect.promise(() =>
      new Promise((resolve) => {
        const { NO_COLOR: _, ...env } = process.env
        const child = spawn("script", ["-qec", command, "/dev/null"], { env, stdio: ["ignore", "pipe", "inherit"] })
        let screen = ""
        child.stdout.setEncoding("utf8").on("data", (part: string) => {
          screen += part
        })
        child.on("close", (code) => resolve({ code, screen }))
      })
    ))
