/**
 * The server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), for one user. It keeps what a server keeps: a salt and two
 * keys, from which nobody gets the password.
 */
import type { BrokerCore } from "@effect-mqttx/testing"
import * as Crypto from "node:crypto"

const hmac = (key: Buffer, text: string): Buffer => Crypto.createHmac("sha256", key).update(text).digest()
const hash = (bytes: Buffer): Buffer => Crypto.createHash("sha256").update(bytes).digest()

/** Answers the client's messages: the first one with salt and nonce, the second one by judging its proof. */
export const scramServer = (password: string) => {
  const salt = Crypto.randomBytes(16)
  const salted = Crypto.pbkdf2Sync(password, salt, 4096, 32, "sha256")
  const storedKey = hash(hmac(salted, "Client Key"))
  const serverKey = hmac(salted, "Server Key")
  let clientFirst = ""
  let serverFirst = ""
  return ({ data, round }: BrokerCore.AuthenticationRequest): BrokerCore.AuthenticationAnswer => {
    const message = Buffer.from(data ?? []).toString()
    if (round === 1) {
      clientFirst = message.slice("n,,".length)
      const nonce = `${/r=(.*)$/.exec(clientFirst)?.[1]}${Crypto.randomBytes(9).toString("base64")}`
      serverFirst = `r=${nonce},s=${salt.toString("base64")},i=4096`
      return { _tag: "Continue", data: Buffer.from(serverFirst) }
    }
    const [, withoutProof = "", proof = ""] = /^(.*),p=(.*)$/.exec(message) ?? []
    const all = `${clientFirst},${serverFirst},${withoutProof}`
    const signature = hmac(storedKey, all)
    const clientKey = Buffer.from(Buffer.from(proof, "base64").map((byte, i) => byte ^ signature[i]!))
    return hash(clientKey).equals(storedKey)
      ? { _tag: "Accept", data: Buffer.from(`v=${hmac(serverKey, all).toString("base64")}`) }
      : { _tag: "Refuse", reasonCode: 0x87 }
  }
}
