import { assert, describe, it } from "@effect/vitest"
import { classify, isConnectionUseless, isNoScript, toReason } from "../src/internal/classification.ts"

const oom = "OOM command not allowed when used memory > 'maxmemory'."

describe("classification", () => {
  for (
    const [kind, messages] of [
      ["full", [
        oom,
        `${oom} script: 6c0e, on @user_script:12.`,
        `ERR Error running script (call to f_6c0e): @user_script:12: @user_script: 12: -${oom}`
      ]],
      ["readOnly", [
        "READONLY You can't write against a read only replica.",
        "READONLY You can't write against a read only replica. script: 6c0e, on @user_script:24.",
        "ERR Error running script (call to f_6c0e): @user_script:2: -READONLY You can't write against a read only replica.",
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk."
      ]],
      ["refused", [
        "NOAUTH Authentication required.",
        "NOAUTH HELLO must be called with the client already authenticated",
        "WRONGPASS invalid username-password pair or user is disabled.",
        "NOPERM User ann has no permissions to run the 'evalsha' command",
        "ERR AUTH <password> called without any password configured for the default user.",
        "ERR Client sent AUTH, but no password is set",
        "ERR invalid password",
        "DENIED Redis is running in protected mode"
      ]],
      ["unknownCommand", ["ERR unknown command 'CONFIG', with args beginning with: 'GET'"]],
      ["invalid", [
        "ERR max request size exceeded. Limit: 1048576 bytes, Actual: 2000000 bytes.",
        "ERR request is too large"
      ]],
      ["corrupt", ["WRONGTYPE Operation against a key holding the wrong kind of value"]],
      ["unavailable", [
        "LOADING Redis is loading the dataset in memory",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "CLUSTERDOWN The cluster is down",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "BUSY Redis is busy running a script.",
        "NOREPLICAS Not enough good replicas to write.",
        "MOVED 3999 127.0.0.1:6381",
        "ERR max number of clients reached",
        "connect ECONNREFUSED 127.0.0.1:6379",
        "read ECONNRESET",
        "Socket closed unexpectedly",
        "The client is closed",
        "Connection timeout",
        "ERR something that no version of Redis has said yet",
        ""
      ]]
    ] as const
  ) {
    it(`what is ${kind}`, () => {
      for (const message of messages) {
        assert.strictEqual(classify(new Error(message)), kind, message)
        assert.strictEqual(classify(message), kind, message)
        assert.strictEqual(classify(new Error("the driver says", { cause: new Error(message) })), kind, message)
      }
    })
  }

  it("a value that is no error, or is its own cause, is unavailable", () => {
    const circular = new Error("a")
    circular.cause = circular
    for (const cause of [undefined, null, 7, {}, circular]) assert.strictEqual(classify(cause), "unavailable")
  })

  it("a code in the text of another error is none", () => {
    assert.strictEqual(classify(new Error("the key OOM is not READONLY")), "unavailable")
  })

  it("the reason has the kind, the server's words and the cause", () => {
    const cause = new Error(oom)
    const reason = toReason(cause)
    assert.strictEqual(reason.kind, "full")
    assert.strictEqual(reason.detail, oom)
    assert.strictEqual(reason.cause, cause)
    assert.strictEqual(toReason(new Error("ERR unknown command 'EVALSHA'")).kind, "refused")
  })

  it("another connection may do better where this one is gone or its server cannot take commands", () => {
    for (
      const message of [
        "READONLY You can't write against a read only replica.",
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
        "LOADING Redis is loading the dataset in memory",
        "CLUSTERDOWN The cluster is down",
        "MASTERDOWN Link with MASTER is down",
        "NOREPLICAS Not enough good replicas to write.",
        "BUSY Redis is busy running a script.",
        "UNKILLABLE Sorry the script already executed write commands against the dataset.",
        "MOVED 3999 127.0.0.1:6381",
        "NOAUTH Authentication required.",
        "Socket closed unexpectedly",
        "The client is closed"
      ]
    ) {
      assert.isTrue(isConnectionUseless(new Error(message)), message)
    }
    for (
      const message of [
        oom,
        "NOPERM User ann has no permissions to run the 'evalsha' command",
        "WRONGPASS invalid username-password pair or user is disabled.",
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "ERR unknown command 'CONFIG', with args beginning with: 'GET'"
      ]
    ) {
      assert.isFalse(isConnectionUseless(new Error(message)), message)
    }
  })

  it("a script that the server does not know is recognised", () => {
    assert.isTrue(isNoScript(new Error("NOSCRIPT No matching script. Please use EVAL.")))
    assert.isFalse(isNoScript(new Error(oom)))
  })
})
