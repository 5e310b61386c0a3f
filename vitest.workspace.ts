import "./test/support/node20.ts"
import { defineConfig } from "vitest/config"

const conditions = ["@effect-mqttx/source", "module", "node", "development|production"]

const project = (name: string, root: string, testTimeout = 180_000) => ({
  extends: true as const,
  root,
  test: { name, include: ["test/**/*.test.ts"], testTimeout }
})

/**
 * The projects of the repository. Packages resolve to their sources by the condition `@effect-mqttx/source`, so that
 * no test needs a build.
 */
export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    projects: [
      project("browser", "packages/browser"),
      project("cli", "packages/cli"),
      project("cluster", "packages/cluster"),
      project("core", "packages/core"),
      project("credentials", "packages/credentials"),
      project("metrics", "packages/metrics"),
      project("msgpack", "packages/msgpack"),
      project("rpc", "packages/rpc"),
      project("socket", "packages/socket"),
      project("store-kvs", "packages/store-kvs"),
      project("testing", "packages/testing"),
      project("store-file", "packages/store-file"),
      project("store-redis", "packages/store-redis"),
      project("store-sql", "packages/store-sql"),
      project("benchmarks", "packages/benchmarks"),
      project("examples", "examples"),
      // These compile and read the whole repository.
      project("workspace", ".", 300_000)
    ],
    // What a passing test logs, for example that a handler failed as it should, is of no interest.
    silent: "passed-only",
    pool: "forks",
    maxWorkers: 2,
    hookTimeout: 180_000
  }
})
