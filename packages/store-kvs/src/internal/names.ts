/**
 * Encodes session names as parts of keys. Some stores turn keys into file names, which do not accept every character or
 * length, and may not distinguish upper from lower case.
 */
import { StorageFailed } from "@effect-mqttx/core/MqttError"
import * as Digest from "effect/crypto/Digest"
import { WebCrypto } from "effect/crypto/WebCrypto"
import * as Effect from "effect/Effect"

/** File names have at most 255 bytes, and key-value stores may write a character as three. */
const longest = 100

/**
 * Lower case letters, digits and hyphens are kept; any other UTF-16 unit becomes `_` and its four digits. A result that
 * is too long becomes `__`, which appears nowhere else, and the name's digest. Neither contains `/`. Fails where no
 * digest is available: browsers have `crypto.subtle` in secure contexts only.
 */
export const encodeName = (name: string): Effect.Effect<string, StorageFailed> => {
  let encoded = ""
  for (let i = 0; i < name.length && encoded.length <= longest; i++) {
    const unit = name[i]!
    encoded += /[-0-9a-z]/.test(unit) ? unit : `_${name.charCodeAt(i).toString(16).padStart(4, "0")}`
  }
  if (encoded.length <= longest) return Effect.succeed(encoded)
  return Effect.flatMap(WebCrypto, ({ subtle }) => subtle === undefined ? Effect.fail(noDigest) : digestOf(name))
}

const noDigest = new StorageFailed({
  kind: "unavailable",
  detail: `a session name that takes more than ${longest} characters in a key needs crypto.subtle, which is not here`
})

const digestOf = (name: string): Effect.Effect<string> =>
  Digest.Digest.use((digest) => digest.digestHex(Digest.sha256, unitsOf(name))).pipe(
    Effect.map((hex) => `__${hex}`),
    Effect.provide(Digest.layerWebCrypto)
  )

// As UTF-16 units, because UTF-8 cannot encode lone surrogates, but any string is a name.
const unitsOf = (name: string): Uint8Array => {
  const bytes = new Uint8Array(name.length * 2)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < name.length; i++) view.setUint16(2 * i, name.charCodeAt(i))
  return bytes
}
