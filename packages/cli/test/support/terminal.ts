/**
 * The program `effect-mqttx` in a pseudo-terminal, by `script` of util-linux.
 */
import { Effect } from "effect"
import { spawn, spawnSync } from "node:child_process"
import { shellCommand } from "./program.ts"

/** Whether this machine can make pseudo-terminals. */
export const hasTerminal = spawnSync("script", ["-qec", "true", "/dev/null"]).status === 0

export interface TerminalSettings {
  readonly env?: Readonly<Record<string, string>>
  /** The width; default 80. */
  readonly columns?: number
  /** What a shell puts behind the command, such as a redirection. */
  readonly behind?: string
}

/** What the program writes on a terminal, standard output and standard error together, and its exit code. */
export const runInTerminal = (
  args: ReadonlyArray<string>,
  { behind = "", columns = 80, env = {} }: TerminalSettings = {}
): Effect.Effect<{ readonly code: number | null; readonly screen: string }> =>
  Effect.flatMap(shellCommand(args), (command) =>
    Effect.promise(() =>
      new Promise((resolve) => {
        const { NO_COLOR: _, ...own } = process.env
        const child = spawn("script", ["-qec", `stty cols ${columns}; ${command} ${behind}`, "/dev/null"], {
          env: { ...own, SHELL: "/bin/sh", TERM: "xterm", ...env },
          stdio: ["ignore", "pipe", "inherit"]
        })
        let screen = ""
        child.stdout.setEncoding("utf8").on("data", (part: string) => {
          screen += part
        })
        child.on("close", (code) => resolve({ code, screen }))
      })
    ))
