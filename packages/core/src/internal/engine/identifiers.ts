/**
 * Packet identifiers of the packets that a client starts: PUBLISH with QoS 1 and 2, SUBSCRIBE and UNSUBSCRIBE share one space
 * (MQTT 2.2.1).
 */

const last = 65_535

/**
 * Allocates packet identifiers and knows who has them. Allocation rolls on, so that an identifier rests as long as possible
 * before it is used again.
 */
export class PacketIdentifiers<Owner> {
  #owners: Map<number, Owner> | undefined
  #next: number

  constructor(first: number) {
    this.#next = first
  }

  get size(): number {
    return this.#owners?.size ?? 0
  }

  get available(): boolean {
    return this.size < last
  }

  /** A free identifier, now the owner's; 0 when none is free. */
  allocate(owner: Owner): number {
    const owners = this.#owners ??= new Map()
    if (owners.size >= last) return 0
    let identifier = this.#next
    while (owners.has(identifier)) identifier = identifier === last ? 1 : identifier + 1
    this.#next = identifier === last ? 1 : identifier + 1
    owners.set(identifier, owner)
    return identifier
  }

  /** Gives a certain identifier to an owner: what a store remembers. */
  reserve(identifier: number, owner: Owner): void {
    this.#owners ??= new Map()
    this.#owners.set(identifier, owner)
  }

  get(identifier: number): Owner | undefined {
    return this.#owners?.get(identifier)
  }

  release(identifier: number): void {
    this.#owners?.delete(identifier)
  }
}
