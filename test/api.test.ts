/**
 * The reports of the public API are those of the sources: a change of the API is a change of a report.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { apiReport, apiReports } from "./support/apiReport.ts"
import { root } from "./support/repository.ts"

describe("public API", () => {
  it("is the one that the reports say; otherwise run npm run api", () => {
    const reports = apiReports(Path.join(root, "build/api-checked"))
    assert.isNotEmpty(reports)
    for (const [path, text] of reports) {
      const file = Path.join(root, path)
      const kept = Fs.existsSync(file) ? Fs.readFileSync(file, "utf8").replaceAll("\r\n", "\n") : ""
      assert.strictEqual(kept, text, `${path} is not up to date: run npm run api`)
    }
  }, 60_000)

  it("has every export, sorted, with what a signature needs and its file does not export", () => {
    const files = new Map([
      ["index.ts", "export * as A from \"./A.ts\";"],
      [
        "A.ts",
        `import type { B } from "./internal/b.ts";
export type { B };
interface Base {
    readonly tag: 1;
}
export interface C extends Base {
    readonly b: import("./internal/b.ts").B;
}
export declare const a: (c: C) => B;
declare const unused: number;`
      ],
      ["internal/b.ts", "export interface B {\n    readonly b: string;\n}\nexport declare const hidden: 1;"]
    ])
    assert.strictEqual(
      apiReport("x", files),
      `# The public API of @effect-mqttx/x

\`npm run api\` writes this file.

## A

\`\`\`ts
interface B {
  readonly b: string;
}
interface C extends Base {
  readonly b: B;
}
interface Base {
  readonly tag: 1;
}
const a: (c: C) => B;
\`\`\`
`
    )
  })
})
