/**
 * The signatures, against the vectors of their specifications and against Node's own cryptography.
 */
import { AwsCustomAuthorizer, AwsSigV4, AzureSas, ConfigCredentials, Jwt, Scram } from "@effect-mqttx/credentials"
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Effect, Redacted } from "effect"
import { TestClock } from "effect/testing"
import * as Crypto from "node:crypto"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (data: Uint8Array | undefined): string => new TextDecoder().decode(data)
const attempt = { session: "plant", clientId: "plant", lastError: undefined } as const

describe("SCRAM-SHA-256", () => {
  const options = {
    username: "user",
    password: Redacted.make("pencil"),
    nonce: Effect.succeed("rOprNGfwEbeRWgbNEkqO")
  }
  const serverFirst = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
  const begin = Effect.suspend(() => Scram.sha256(options).initiate({ ...attempt, server: undefined as never }))

  it.effect("gives the messages of RFC 7677", () =>
    Effect.gen(function*() {
      const exchange = yield* begin
      assert.strictEqual(textOf(exchange.data), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
      assert.strictEqual(
        textOf(yield* exchange.respond!(bytes(serverFirst))),
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
      )
      yield* exchange.verify!(bytes("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="))
    }))

  it.effect("fails when the server does not prove itself", () =>
    Effect.gen(function*() {
      for (const last of ["v=AAAATRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "e=invalid-proof", "", "v="]) {
        const exchange = yield* begin
        yield* exchange.respond!(bytes(serverFirst))
        const error = yield* Effect.flip(exchange.verify!(bytes(last)))
        assert.isFalse(error.isRetryable)
      }
      const early = yield* begin
      yield* Effect.flip(early.verify!(bytes("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")))
      yield* Effect.flip(early.verify!(undefined))
    }))

  it.effect("refuses what a server must not send", () =>
    Effect.gen(function*() {
      const wrong = [
        "",
        "r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096",
        "r=rOprNGfwEbeRWgbNEkqOx,s=*,i=4096",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=1",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=100000000",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=x",
        "m=ext,r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=4096"
      ]
      for (const message of wrong) {
        const exchange = yield* begin
        const error = yield* Effect.flip(exchange.respond!(bytes(message)))
        assert.notInclude(error.message, "pencil")
      }
      const exchange = yield* begin
      yield* exchange.respond!(bytes(serverFirst))
      yield* Effect.flip(exchange.respond!(bytes(serverFirst)))
    }))

  it.effect("escapes the user name, and uses another nonce for each exchange", () =>
    Effect.gen(function*() {
      const authenticator = Scram.sha256({ username: "a=b,c", password: "x" })
      const [first, second] = yield* Effect.all([
        authenticator.initiate({ ...attempt, server: undefined as never }),
        authenticator.initiate({ ...attempt, server: undefined as never })
      ])
      assert.match(textOf(first.data), /^n,,n=a=3Db=2Cc,r=[A-Za-z0-9_-]{24}$/)
      assert.notStrictEqual(textOf(first.data), textOf(second.data))
    }))
})

describe("AWS Signature Version 4", () => {
  it.effect("signs as the example of the AWS documentation", () =>
    Effect.gen(function*() {
      const query = yield* AwsSigV4.presign({
        host: "examplebucket.s3.amazonaws.com",
        path: "/test.txt",
        region: "us-east-1",
        service: "s3",
        keys: {
          accessKeyId: "AKIAIOSFODNN7EXAMPLE",
          secretAccessKey: Redacted.make("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
        },
        at: Date.UTC(2013, 4, 24),
        expires: 86_400,
        payloadHash: "UNSIGNED-PAYLOAD"
      })
      assert.strictEqual(
        Redacted.value(query),
        "X-Amz-Algorithm=AWS4-HMAC-SHA256" +
          "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" +
          "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host" +
          "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
      )
    }))

  it.effect("puts the session token behind the signature for IoT Core, and asks for the keys each time", () =>
    Effect.gen(function*() {
      let asked = 0
      const provider = AwsSigV4.iotCore({
        region: "eu-central-1",
        keys: Effect.sync(() => ({
          accessKeyId: `key${++asked}`,
          secretAccessKey: "secret",
          sessionToken: Redacted.make("a/b+c"),
          expiresAt: 1000
        }))
      })
      const at = { ...attempt, server: { host: "x.iot.eu-central-1.amazonaws.com", path: "/mqtt" } as never }
      const { expiresAt, webSocket } = yield* provider(at)
      assert.strictEqual(expiresAt, 1000)
      const query = Redacted.value(webSocket!.query as Redacted.Redacted<string>)
      assert.match(query, /Credential=key1%2F19700101%2Feu-central-1%2Fiotdevicegateway%2Faws4_request/)
      assert.match(query, /X-Amz-Signature=[0-9a-f]{64}&X-Amz-Security-Token=a%2Fb%2Bc$/)
      yield* provider(at)
      assert.strictEqual(asked, 2)
    }))
})

describe("shared access signatures", () => {
  it.effect("sign the resource and the end", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_000_123)
      const key = Buffer.from("a shared key").toString("base64")
      const { expiresAt, signature } = yield* AzureSas.sign({
        resource: "plant.azure-devices.net/devices/d 1",
        key,
        policy: "device",
        lifetime: "10 minutes"
      })
      assert.strictEqual(expiresAt, 1_700_000_600_000)
      const resource = "plant.azure-devices.net%2Fdevices%2Fd%201"
      const expected = Crypto.createHmac("sha256", "a shared key").update(`${resource}\n1700000600`).digest("base64")
      assert.strictEqual(
        Redacted.value(signature),
        `SharedAccessSignature sr=${resource}&sig=${encodeURIComponent(expected)}&se=1700000600&skn=device`
      )
    }))

  it.effect("become user name and password of a device and of a module", () =>
    Effect.gen(function*() {
      const key = Redacted.make(Buffer.from("k").toString("base64"))
      const device = yield* AzureSas.iotHub({ hostName: "h.azure-devices.net", deviceId: "d", key })
      assert.strictEqual(device.username, "h.azure-devices.net/d/?api-version=2021-04-12")
      assert.strictEqual(device.expiresAt, 3_600_000)
      const module = yield* AzureSas.iotHub({ hostName: "h.azure-devices.net", deviceId: "d", moduleId: "m", key })
      assert.strictEqual(module.username, "h.azure-devices.net/d/m/?api-version=2021-04-12")
      assert.include(Redacted.value(module.password as Redacted.Redacted<string>), "%2Fdevices%2Fd%2Fmodules%2Fm&")
    }))

  it.effect("are refused for a key that is not base64, and an invalid lifetime", () =>
    Effect.gen(function*() {
      for (const key of ["", "*secret*"]) {
        const error = yield* Effect.flip(AzureSas.sign({ resource: "r", key }))
        assert.isFalse(error.isRetryable)
        assert.notInclude(error.message, "*secret*")
      }
      for (const lifetime of ["0 seconds", "Infinity", "soon"] as unknown as ReadonlyArray<never>) {
        yield* Effect.flip(AzureSas.sign({ resource: "r", key: "a2V5", lifetime }))
      }
    }))
})

describe("JSON Web Tokens", () => {
  const rsa = Crypto.generateKeyPairSync("rsa", { modulusLength: 2048 })
  const ec = Crypto.generateKeyPairSync("ec", { namedCurve: "P-256" })
  const pem = (key: Crypto.KeyObject): string => key.export({ type: "pkcs8", format: "pem" }).toString()
  const parse = (part: string | undefined): unknown => JSON.parse(Buffer.from(part!, "base64url").toString())

  const checks = {
    HS256: [
      "a secret",
      (signed, signature) =>
        Crypto.createHmac("sha256", "a secret").update(signed).digest("base64url") === signature.toString("base64url")
    ],
    RS256: [pem(rsa.privateKey), (signed, signature) => Crypto.verify("sha256", signed, rsa.publicKey, signature)],
    ES256: [
      pem(ec.privateKey),
      (signed, signature) =>
        Crypto.verify("sha256", signed, { key: ec.publicKey, dsaEncoding: "ieee-p1363" }, signature)
    ]
  } satisfies Record<Jwt.Algorithm, readonly [string, (signed: Buffer, signature: Buffer) => boolean]>

  for (const [algorithm, [key, verify]] of Object.entries(checks)) {
    it.effect(`are signed with ${algorithm}`, () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(5_000_500)
        const { expiresAt, token } = yield* Jwt.sign({
          algorithm: algorithm as Jwt.Algorithm,
          key: Redacted.make(key),
          keyId: "k1",
          claims: { sub: "device", aud: ["mqtt"] },
          lifetime: "2 minutes"
        })
        const [header, payload, signature] = Redacted.value(token).split(".")
        assert.deepStrictEqual(parse(header), { alg: algorithm, typ: "JWT", kid: "k1" })
        assert.deepStrictEqual(parse(payload), { sub: "device", aud: ["mqtt"], iat: 5000, exp: 5120 })
        assert.strictEqual(expiresAt, 5_120_000)
        assert.isTrue(verify(Buffer.from(`${header}.${payload}`), Buffer.from(signature!, "base64url")))
      }))
  }

  it.effect("are refused for a key or an algorithm that does not fit", () =>
    Effect.gen(function*() {
      const wrong = [
        ["RS256", "not a key"],
        ["ES256", pem(rsa.privateKey)],
        ["RS256", ""],
        ["none", "x"]
      ] as const
      for (const [algorithm, key] of wrong) {
        const error = yield* Effect.flip(Jwt.sign({ algorithm: algorithm as never, key }))
        assert.isFalse(error.isRetryable)
        assert.strictEqual(error.cause, undefined)
      }
    }))

  it.effect("become a password, or the data of an authentication", () =>
    Effect.gen(function*() {
      const options = { algorithm: "HS256", key: "k" } as const
      const { expiresAt, password, username } = yield* Jwt.credentials({ ...options, username: "u" })
      assert.strictEqual(username, "u")
      const data = yield* Jwt.data(options)
      assert.strictEqual(textOf(data.bytes), Redacted.value(password as Redacted.Redacted<string>))
      assert.strictEqual(data.expiresAt, expiresAt)
    }))
})

it.effect("a custom authorizer gets its parameters in the user name", () =>
  Effect.gen(function*() {
    assert.deepStrictEqual(yield* AwsCustomAuthorizer.make({ username: "d" }), { username: "d" })
    assert.deepStrictEqual(
      yield* AwsCustomAuthorizer.make({
        username: "d",
        authorizer: "plant one",
        password: "p",
        token: { name: "t", value: Redacted.make("a b"), signature: "c+d" }
      }),
      {
        username: "d?x-amz-customauthorizer-name=plant%20one&x-amz-customauthorizer-signature=c%2Bd&t=a%20b",
        password: "p"
      }
    )
  }))

it.effect("Config is read again each time, and a missing value is reported without any value", () =>
  Effect.gen(function*() {
    const environment: Record<string, string> = { USER: "u" }
    const credentials = ConfigCredentials.make({
      username: Config.String("USER"),
      password: Config.Redacted("TOKEN")
    }).pipe(Effect.provide(ConfigProvider.layer(Effect.sync(() => ConfigProvider.fromUnknown({ ...environment })))))
    const error = yield* Effect.flip(credentials)
    assert.strictEqual(error.message, "Config does not have the credentials")
    environment["TOKEN"] = "secret"
    const { password, username } = yield* credentials
    assert.strictEqual(username, "u")
    assert.strictEqual(Redacted.value(password as Redacted.Redacted<string>), "secret")
  }))
