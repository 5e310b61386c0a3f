/**
 * A 53-bit digest over topic and payload, made of two multiplicative hashes. It is fast, and not resistant to
 * deliberate collisions.
 */
export const digest = (topic: string, payload: Uint8Array): number => {
  let a = 0xdeadbeef
  let b = 0x41c6ce57
  for (let i = 0; i < topic.length; i++) {
    const unit = topic.charCodeAt(i)
    a = Math.imul(a ^ unit, 0x9e3779b1)
    b = Math.imul(b ^ unit, 0x5f356495)
  }
  // No byte is above 255, so that topic and payload cannot be confused.
  a = Math.imul(a ^ 0x100, 0x9e3779b1)
  b = Math.imul(b ^ 0x100, 0x5f356495)
  for (let i = 0; i < payload.length; i++) {
    const byte = payload[i]!
    a = Math.imul(a ^ byte, 0x9e3779b1)
    b = Math.imul(b ^ byte, 0x5f356495)
  }
  a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35)
  b = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35)
  return 0x1_0000_0000 * (b & 0x1f_ffff) + (a >>> 0)
}
