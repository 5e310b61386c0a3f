/**
 * Checks that a server has one of the public keys that the options allow. Called when a TLS socket is made.
 */
import { createHash } from "node:crypto"
import type * as Tls from "node:tls"
import type { TlsOptions } from "../../SessionOptions.ts"

/** The error code of a server with another key. Like all codes of its kind, it is not transient. */
export const mismatchCode = "ERR_TLS_PIN_MISMATCH"

/**
 * Destroys the socket at the end of its handshake when the server has another key. Nothing that was written before has
 * left then.
 */
export const checkPins = (socket: Tls.TLSSocket, tls: TlsOptions | undefined): void => {
  const pins = tls?.pins
  if (pins === undefined) return
  socket.once("secureConnect", () => {
    const key = socket.getPeerX509Certificate()?.publicKey.export({ type: "spki", format: "der" })
    const pin = key === undefined ? undefined : `sha256/${createHash("sha256").update(key).digest("base64")}`
    if (pin !== undefined && pins.includes(pin)) return
    socket.destroy(
      Object.assign(new Error(`the public key of the server is none of the pinned ones: ${pin ?? "it shows none"}`), {
        code: mismatchCode
      })
    )
  })
}
