/**
 * The dashboard, the alerts and the configuration in the docs: that they are valid, and that they speak of metrics that
 * exist.
 */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { realServer } from "../../../test/support/servers.ts"
import { families } from "../src/internal/series/families.ts"

const promtool = realServer("promtool")
const here = import.meta.dirname
const grafana = Path.join(here, "../grafana")
const docs = Path.join(here, "../../../docs/metrics.md")

const read = (path: string): string => Fs.readFileSync(path, "utf8")

/** What promtool says about files with these contents; nothing where it is content. */
const complaints = (args: ReadonlyArray<string>, files: Readonly<Record<string, string>>, cwd?: string): string => {
  const folder = Fs.mkdtempSync(Path.join(Os.tmpdir(), "promtool-"))
  try {
    for (const [name, text] of Object.entries(files)) Fs.writeFileSync(Path.join(folder, name), text)
    const { status, stderr, stdout } = spawnSync(promtool!, args, { cwd: cwd ?? folder, encoding: "utf8" })
    return status === 0 ? "" : `${stdout}${stderr}`
  } finally {
    Fs.rmSync(folder, { recursive: true })
  }
}

interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets?: ReadonlyArray<{ readonly refId: string; readonly expr: string }>
}

interface Dashboard {
  readonly title: string
  readonly uid: string
  readonly schemaVersion: number
  readonly panels: ReadonlyArray<Panel>
  readonly templating: { readonly list: ReadonlyArray<{ readonly name: string }> }
}

const dashboard: Dashboard = JSON.parse(read(Path.join(grafana, "dashboard.json")))
const expressions = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))

const known = new Set(
  families.flatMap(({ name, type }) =>
    type === "histogram" ? [`${name}_bucket`, `${name}_count`, `${name}_sum`] : [name]
  )
)

const unknownIn = (texts: ReadonlyArray<string>): ReadonlyArray<string> =>
  texts.flatMap((text) => text.match(/\bmqtt_[a-z_]+/g) ?? []).filter((name) => !known.has(name))

describe("the Grafana dashboard", () => {
  it("has panels that do not overlap, with ids and titles of their own", () => {
    assert.isAtLeast(dashboard.schemaVersion, 36)
    assert.isAbove(dashboard.panels.length, 25)
    const ids = dashboard.panels.map(({ id }) => id)
    assert.strictEqual(new Set(ids).size, ids.length)
    const taken = new Set<string>()
    for (const { gridPos: { h, w, x, y }, title } of dashboard.panels) {
      assert.notStrictEqual(title, "")
      assert.isAtMost(x + w, 24, title)
      for (let row = y; row < y + h; row++) {
        for (let column = x; column < x + w; column++) {
          assert.isFalse(taken.has(`${row}/${column}`), `${title} lies on another panel`)
          taken.add(`${row}/${column}`)
        }
      }
    }
  })

  it("asks for metrics that exist only, and uses no variable that it does not have", () => {
    assert.deepStrictEqual(unknownIn(expressions), [])
    const variables = new Set(dashboard.templating.list.map(({ name }) => name))
    const used = expressions.flatMap((expr) => Array.from(expr.matchAll(/\$(?!__)\{?(\w+)/g), ([, name]) => name!))
    assert.deepStrictEqual(used.filter((name) => !variables.has(name)), [])
  })

  it.skipIf(promtool === undefined)("has queries that Prometheus understands", () => {
    const rules = expressions.map((expr, index) => {
      const plain = expr.replaceAll("$__rate_interval", "5m").replaceAll("$__range", "1h").replaceAll(/\$\w+/g, ".*")
      return `      - record: panel:${index}\n        expr: ${JSON.stringify(plain)}\n`
    })
    assert.strictEqual(
      complaints(["check", "rules", "rules.yaml"], {
        "rules.yaml": `groups:\n  - name: panels\n    rules:\n${rules.join("")}`
      }),
      ""
    )
  })
})

describe("the alerts", () => {
  const path = Path.join(grafana, "alerts.yaml")

  it("speak of metrics that exist", () => {
    assert.deepStrictEqual(unknownIn([read(path)]), [])
  })

  it.skipIf(promtool === undefined)("are valid", () => {
    assert.strictEqual(complaints(["check", "rules", path], {}), "")
  })

  it.skipIf(promtool === undefined)("fire when they should, and not before", () => {
    assert.strictEqual(complaints(["test", "rules", "alerts.test.yaml"], {}, here), "")
  })

  it("are all tested", () => {
    const names = Array.from(read(path).matchAll(/- alert: (\w+)/g), ([, name]) => name!)
    const tested = read(Path.join(here, "alerts.test.yaml"))
    assert.deepStrictEqual(names.filter((name) => !tested.includes(`alertname: ${name}\n        exp_alerts`)), [])
  })
})

describe("docs/metrics.md", () => {
  it("has a row for every metric, with its type, labels and meaning, and for no other", () => {
    const rows = Array.from(
      read(docs).matchAll(/^\| `(mqtt_\w+)` +\| (\w+) +\| (.*?) +\| (.*?) +\|$/gm),
      ([, name, type, labels, help]) => ({ name, type, labels, help })
    )
    assert.deepStrictEqual(
      rows,
      families.map(({ help, labels, name, type }) => ({
        name,
        type,
        labels: labels.map((label) => `\`${label}\``).join(", "),
        help: help.replace(/\.$/, "")
      }))
    )
  })

  it.skipIf(promtool === undefined)("shows a configuration that Prometheus takes", () => {
    const config = /```yaml\n([^]*?)```/.exec(read(docs))?.[1]
    assert.isDefined(config)
    assert.strictEqual(
      complaints(["check", "config", "prometheus.yml"], {
        "prometheus.yml": config!,
        "alerts.yaml": read(Path.join(grafana, "alerts.yaml"))
      }),
      ""
    )
  })
})
