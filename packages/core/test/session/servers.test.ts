import { ServerAddress } from "@effect-mqttx/core"
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { Servers } from "../../src/internal/session/servers.ts"

const address = (server: string) => Result.getOrThrow(ServerAddress.parse(server))
const [first, second, third] = [address("mqtt://a"), address("mqtt://b"), address("mqtt://c")]

const make = () => new Servers([first!, second!, third!])

describe("Servers", () => {
  it("tries servers in the order of preference", () => {
    assert.deepStrictEqual(make().round(0), [first, second, third])
  })

  it("tries one that failed lately last, and no server never", () => {
    const servers = make()
    servers.failed(first!, 1000)
    assert.deepStrictEqual(servers.round(2000), [second, third, first])
    servers.failed(second!, 2000)
    assert.deepStrictEqual(servers.round(3000), [third, first, second])
  })

  it("returns to the preferred one after its penalty, which doubles with each failure in a row up to five minutes", () => {
    const servers = make()
    servers.failed(first!, 0)
    assert.deepStrictEqual(servers.round(4999)[0], second)
    assert.deepStrictEqual(servers.round(5000)[0], first)
    servers.failed(first!, 5000)
    assert.deepStrictEqual(servers.round(14_999)[0], second)
    assert.deepStrictEqual(servers.round(15_000)[0], first)
    for (let i = 0; i < 20; i++) servers.failed(first!, 20_000)
    assert.deepStrictEqual(servers.round(319_999)[0], second)
    assert.deepStrictEqual(servers.round(320_000)[0], first)
  })

  it("forgets failures with a success", () => {
    const servers = make()
    servers.failed(first!, 0)
    servers.succeeded(first!)
    assert.deepStrictEqual(servers.round(1)[0], first)
  })
})
