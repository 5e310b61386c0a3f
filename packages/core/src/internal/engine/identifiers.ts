/**
 * Packet identifiers of packets that the client initiates. PUBLISH with QoS 1 and 2, SUBSCRIBE and UNSUBSCRIBE share
 * one space (MQTT 2.2.1). It knows nothing about the packets.
 */

const last = 65_535
const smallest = 4
/** With this many slots every identifier has its own. */
const largest = 65_536

/**
 * Allocates packet identifiers and remembers their owners. Allocation continues upwards, so that an identifier rests as
 * long as possible before it is used again.
 *
 * The table has one slot per identifier modulo its size, because identifiers in flight are mostly neighbours. A Map
 * would rebuild its table every few identifiers, and the dead tables keep messages alive until the next full garbage
 * collection.
 */
export class PacketIdentifiers<Owner> {
  // Made with the first identifier, because many sessions never need one.
  #owners: Array<Owner | undefined> | undefined
  /** The identifier in each slot; 0: free. */
  #taken: Uint16Array | undefined
  #size = 0
  #next: number

  constructor(first: number) {
    this.#next = first
  }

  get size(): number {
    return this.#size
  }

  get available(): boolean {
    return this.#size < last
  }

  /** Allocates a free identifier for the owner; 0 when none is free. */
  allocate(owner: Owner): number {
    if (this.#size >= last) return 0
    if (this.#taken === undefined || this.#size * 2 >= this.#taken.length) this.#grow()
    const taken = this.#taken!
    const mask = taken.length - 1
    let identifier = this.#next
    // An identifier whose slot is taken by another one is skipped for now.
    while (taken[identifier & mask] !== 0) identifier = identifier === last ? 1 : identifier + 1
    this.#next = identifier === last ? 1 : identifier + 1
    this.#put(identifier, owner)
    return identifier
  }

  /** Assigns the identifier that a store recorded. */
  reserve(identifier: number, owner: Owner): void {
    while (this.#taken === undefined || !this.#fits(identifier)) this.#grow()
    this.#put(identifier, owner)
  }

  get(identifier: number): Owner | undefined {
    const taken = this.#taken
    if (taken === undefined || identifier === 0) return undefined
    const slot = identifier & (taken.length - 1)
    return taken[slot] === identifier ? this.#owners![slot] : undefined
  }

  release(identifier: number): void {
    const taken = this.#taken
    if (taken === undefined || identifier === 0) return
    const slot = identifier & (taken.length - 1)
    if (taken[slot] !== identifier) return
    taken[slot] = 0
    this.#owners![slot] = undefined
    this.#size--
  }

  #fits(identifier: number): boolean {
    const other = this.#taken![identifier & (this.#taken!.length - 1)]
    return other === 0 || other === identifier
  }

  #put(identifier: number, owner: Owner): void {
    const taken = this.#taken!
    const slot = identifier & (taken.length - 1)
    if (taken[slot] === 0) this.#size++
    taken[slot] = identifier
    this.#owners![slot] = owner
  }

  /** Doubles the slots. Identifiers in different slots stay in different slots. */
  #grow(): void {
    const [taken, owners] = [this.#taken, this.#owners]
    if (taken !== undefined && taken.length >= largest) return
    const length = taken === undefined ? smallest : taken.length * 2
    this.#taken = new Uint16Array(length)
    this.#owners = Array.from<Owner | undefined>({ length }).fill(undefined)
    this.#size = 0
    if (taken === undefined) return
    for (let slot = 0; slot < taken.length; slot++) {
      if (taken[slot] !== 0) this.#put(taken[slot]!, owners![slot]!)
    }
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    const identifiers = Array.from(this.#taken ?? []).filter((identifier) => identifier !== 0)
    return {
      slots: this.#taken?.length ?? 0,
      identifiers,
      owners: identifiers.map((identifier) => this.get(identifier)),
      next: this.#next
    }
  }

  set privateState({ identifiers, next, owners, slots }) {
    this.#taken = slots === 0 ? undefined : new Uint16Array(slots)
    this.#owners = slots === 0 ? undefined : Array.from<Owner | undefined>({ length: slots }).fill(undefined)
    this.#size = 0
    for (let i = 0; i < identifiers.length; i++) this.#put(identifiers[i]!, owners[i]!)
    this.#next = next
  }
}
