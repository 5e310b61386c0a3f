/**
 * Signs routes. A signature proves that a forwarder with the same secret has written the lists of a message, so that a
 * client with the right to publish cannot hide a message from forwarders with lists of its own.
 *
 * A signature is for one topic and one payload. It does not prevent a replay: a client can repeat a message that a
 * forwarder has written to that broker, with its lists and its signature.
 */
import * as Redacted from "effect/Redacted"
import type { UserProperty } from "../../Properties.ts"
import { hex, Hmac } from "../sha256.ts"
import type { LoopGuardOptions } from "./options.ts"
import { type Route, signatureProperty } from "./route.ts"

/** The number of bytes of a signature that are sent. Guessing one of 2^128 is infeasible. */
const sentBytes = 16

const encoder = new TextEncoder()

export class Signer {
  /** The first key signs. */
  readonly #keys: ReadonlyArray<Hmac>

  constructor({ accepts, secret }: LoopGuardOptions) {
    this.#keys = [secret, ...accepts].map((each) => new Hmac(encoder.encode(Redacted.value(each))))
  }

  sign(route: Route, topic: string, payload: Uint8Array): string {
    return signatureBy(this.#keys[0]!, headOf(route, topic), payload)
  }

  /** Whether a forwarder with one of the secrets has written the lists of a message. */
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

/** JSON contains no null character, so head and payload cannot be confused. */
const headOf = ({ brokers, forwarders }: Route, topic: string): Uint8Array =>
  encoder.encode(`${JSON.stringify([forwarders, brokers, topic])}\0`)

/** Takes the same time wherever the two strings differ. */
const isEqual = (one: string, other: string): boolean => {
  let difference = one.length ^ other.length
  for (let i = 0; i < one.length; i++) difference |= one.charCodeAt(i) ^ other.charCodeAt(i)
  return difference === 0
}
