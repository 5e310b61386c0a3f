/**
 * What shells and terminals have to do with `effect-mqttx`: completions, help, and colours.
 */
import { Cli } from "@effect-mqttx/cli"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import { run } from "./support/program.ts"
import { hasTerminal, runInTerminal } from "./support/terminal.ts"

const { exitCodes } = Cli
const commands = ["pub", "sub", "request", "record", "replay", "bench", "simulate", "doctor", "store", "gateway"]
const hasBash = spawnSync("bash", ["-c", "true"]).status === 0

describe("effect-mqttx in a shell", () => {
  for (const shell of ["bash", "zsh", "fish", "powershell"]) {
    it.effect(`--completions ${shell} knows every command, and its flags`, () =>
      Effect.gen(function*() {
        const { code, stderr, stdout } = yield* run(["--completions", shell])
        assert.deepStrictEqual({ code, stderr }, { code: exitCodes.done, stderr: "" })
        for (const word of [...commands, "retained-only", "publish-only", "in-flight"]) assert.include(stdout, word)
      }))
  }

  it.effect.skipIf(!hasBash)("bash completes commands, subcommands and flags with them", () =>
    Effect.gen(function*() {
      const { stdout } = yield* run(["--completions", "bash"])
      const complete = (...words: ReadonlyArray<string>) => {
        const script = `${stdout}
          COMP_WORDS=(${["effect-mqttx", ...words].map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length}
          COMP_LINE='effect-mqttx ${words.join(" ")}'; COMP_POINT=\${#COMP_LINE}
          $(complete -p effect-mqttx | sed 's/.*-F \\([^ ]*\\).*/\\1/') effect-mqttx '${words.at(-1)}' ''
          printf '%s\\n' "\${COMPREPLY[@]}"`
        const { stderr, stdout: completed } = spawnSync("bash", ["-c", script], { encoding: "utf8" })
        assert.strictEqual(stderr, "")
        return completed.split("\n").map((word) => word.trim()).filter((word) => word !== "")
      }
      assert.sameMembers(complete("re"), ["request", "record", "replay"])
      assert.includeMembers(complete("store", ""), ["inspect", "verify", "export", "import", "repair"])
      assert.includeMembers(complete("bench", "--"), ["--connections", "--rate", "--seconds", "--json"])
    }))

  it.effect("--help of every command says what it is for, without colours where there is no terminal", () =>
    Effect.gen(function*() {
      for (const command of commands) {
        const { code, stderr, stdout } = yield* run([command, "--help"], { env: { NO_COLOR: "" } })
        assert.deepStrictEqual({ code, stderr }, { code: exitCodes.done, stderr: "" }, command)
        assert.include(stdout, `effect-mqttx ${command}`)
        assert.notInclude(stdout, "\u001b", command)
      }
    }))

  it.effect.skipIf(!hasTerminal)("--help has colours on a terminal", () =>
    Effect.gen(function*() {
      const { code, screen } = yield* runInTerminal(["bench", "--help"])
      assert.strictEqual(code, exitCodes.done)
      assert.include(screen, "\u001b[")
    }))
})
