/**
 * Signatures of routes: proofs that a forwarder with the same secret has written the lists of a message, so that a
 * client that may publish cannot hide a message from forwarders by writing such lists itself.
 *
 * A signature is for one topic and one payload. What it does not prevent: a message that a forwarder has written to a
 * broker can be repeated there as it is, with its lists and its signature.
 */
import * as Redacted from "effect/Redacted"
import type { UserProperty } from "../../Properties.ts"
import { hex, Hmac } from "../sha256.ts"
import type { LoopGuardOptions } from "./options.ts"
import { type Route, signatureProperty } from "./route.ts"

/** As much of a signature as is sent, in bytes: guessing one of 2^128 is hopeless. */
const sentBytes = 16

const encoder = new TextEncoder()

export class Signer {
  /** The first one signs. */
  readonly #keys: ReadonlyArray<Hmac>

  constructor({ accepts, secret }: LoopGuardOptions) {
    this.#keys = [secret, ...accepts].map((each) => new Hmac(encoder.encode(Redacted.value(each))))
  }

  sign(route: Route, topic: string, payload: Uint8Array): string {
    return signatureBy(this.#keys[0]!, headOf(route, topic), payload)
  }

  /** Whether the lists of a message are what a forwarder with one of the secrets has written. */
  verify(
    userProperties: ReadonlyArray<UserProperty> | undefined,
    route: Route,
    topic: string,
    payload: Uint8Array
  ): boolean {
    const signature = userProperties?.find(([name]) => name === signatureProperty)?.[1]
    if (signature === undefined || signature.length !== 2 * sentBytes) return false
    const head = headOf(route, topic)
    return this.#keys.some((key) => isEqual(signature, signatureBy(key, head, payload)))
  }
}

const signatureBy = (key: Hmac, head: Uint8Array, payload: Uint8Array): string =>
  hex(key.sign(head, payload).subarray(0, sentBytes))

/** No JSON contains a null character: head and payload cannot run into each other. */
const headOf = ({ brokers, forwarders }: Route, topic: string): Uint8Array =>
  encoder.encode(`${JSON.stringify([forwarders, brokers, topic])}\0`)

/** Takes the same time wherever the two differ. */
const isEqual = (one: string, other: string): boolean => {
  let difference = one.length ^ other.length
  for (let i = 0; i < one.length; i++) difference |= one.charCodeAt(i) ^ other.charCodeAt(i)
  return difference === 0
}
