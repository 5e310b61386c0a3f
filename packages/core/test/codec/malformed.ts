/**
 * What the tests of malformed packets share: bytes of packets that are right up to one mistake.
 */
import { assert } from "@effect/vitest"
import type { ViolationKind } from "../../src/internal/codec/violation.ts"
import type { ProtocolVersion } from "../../src/QoS.ts"
import { decode, frame, properties, type Role, text } from "./support.ts"

export type Sample = readonly [role: Role, version: ProtocolVersion | undefined, bytes: Uint8Array]

export interface Malformed {
  readonly title: string
  readonly kind: ViolationKind
  readonly reasonCode: number
  readonly samples: ReadonlyArray<Sample>
}

const connectBody = (level: number, flags: number, ...rest: ReadonlyArray<number>): Array<number> => [
  ...text("MQTT"),
  level,
  flags,
  0,
  60,
  ...(level === 5 ? [0] : []),
  ...rest
]

export const connect = (level: number, flags: number, ...rest: ReadonlyArray<number>): Uint8Array =>
  frame(0x10, ...connectBody(level, flags, ...rest))

/** CONNECT of version 5 with these properties. */
export const connect5 = (...body: ReadonlyArray<number>): Uint8Array =>
  frame(0x10, ...text("MQTT"), 5, 2, 0, 60, ...properties(...body), ...text("c"))

/** CONNACK of version 5 with these properties. */
export const connack5 = (...body: ReadonlyArray<number>): Uint8Array => frame(0x20, 0, 0, ...properties(...body))

/** PUBLISH of version 5, QoS 0, topic "a", with these properties. */
export const publish5 = (...body: ReadonlyArray<number>): Uint8Array =>
  frame(0x30, ...text("a"), ...properties(...body))

export const both = (
  role: Role,
  bytes4: Uint8Array,
  bytes5: Uint8Array
): Array<Sample> => [[role, 4, bytes4], [role, 5, bytes5]]

export const same = (role: Role, bytes: Uint8Array): Array<Sample> => both(role, bytes, bytes)

// Bytes that are not UTF-8: a lone continuation, a cut sequence, an overlong one, a surrogate, beyond U+10FFFF, 0xff.
export const illFormed = [[0x80], [0xc3], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xff]]

export const raw = (bytes: ReadonlyArray<number>): Array<number> => [0, bytes.length, ...bytes]

/** Every sample of a class is refused with its kind and reason code. */
export const assertRejected = ({ kind, reasonCode, samples }: Malformed): void => {
  assert.isAbove(samples.length, 0)
  for (const [role, version, bytes] of samples) {
    const { violation } = decode(bytes, role, version, 1024)
    assert.deepInclude(violation, { kind, reasonCode }, `${role} ${version}: ${bytes}`)
  }
}
