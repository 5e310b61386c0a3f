/**
 * docs/guides/getting-started.md and docs/guides/testing.md, followed from their first block to their last.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { root } from "./support/repository.ts"
import { follow } from "./support/walkthrough.ts"

const page = "docs/guides/getting-started.md"

describe(page, () => {
  it.live("leads from an empty folder to a tested program, step by step", () =>
    Effect.gen(function*() {
      const steps = yield* follow(page, readFileSync(join(root, page), "utf8"))
      assert.strictEqual(steps.files, 6)
      assert.isAtLeast(steps.commands, 11)
      assert.isAtLeast(steps.lines, 11)
    }), 300_000)
})

describe("docs/guides/testing.md", () => {
  it.live("has tests that pass", () =>
    Effect.gen(function*() {
      const testing = "docs/guides/testing.md"
      const steps = yield* follow(testing, readFileSync(join(root, testing), "utf8"))
      assert.deepStrictEqual(steps, { files: 4, commands: 5, lines: 1 })
    }), 300_000)
})

describe("the walkthrough", () => {
  const program = "```ts file=a.ts\nconsole.log(\"one\")\n```\n\n```sh\nnode a.ts\n```\n\n"

  it.live.each(
    [
      ["a page that shows what its program prints", `${program}\`\`\`text\none\n\`\`\``, undefined],
      ["output that does not come", `${program}\`\`\`text\none\ntwo\n\`\`\``, "ended without \"two\": one"],
      [
        "a command that it does not know",
        "```sh\nrm -r x\n```",
        "a command that the walkthrough does not know: rm -r x"
      ],
      ["a package that is not there", "```sh\nnpm install effect leftpad\n```", "the package leftpad"],
      ["output of no program", "```text from=b.ts\none\n```", "a.md:1: the output of no program"]
    ] as const
  )("follows, or refuses, %s", ([, markdown, failure]) =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.scoped(follow("a.md", markdown)))
      if (failure === undefined) assert.isTrue(Exit.isSuccess(exit))
      else assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", failure)
    }), 180_000)
})
