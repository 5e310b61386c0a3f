/**
 * A network in memory: two byte streams that are connected to each other, without sockets and without time.
 *
 * Bytes arrive in their own microtask, never inside `write`, so that neither side is called back in the middle of its
 * work.
 */
import type { ByteStream, ByteStreamHandlers, WriteResult } from "@effect-mqttx/core/Transport"

const highWaterMark = 65_536

class End implements ByteStream {
  #handlers: ByteStreamHandlers | undefined = undefined
  #peer: End | undefined = undefined
  // Bytes that have not yet been delivered to this end.
  #inbox: Array<Uint8Array> = []
  #inboxBytes = 0
  #scheduled = false
  #paused = false
  #wantsDrain = false
  #ended = false
  #peerEnded = false
  #closed = false
  #cause: unknown = undefined

  static connect(first: End, second: End): void {
    first.#peer = second
    second.#peer = first
  }

  attach(handlers: ByteStreamHandlers): void {
    this.#handlers = handlers
    this.#schedule()
  }

  write(bytes: Uint8Array): WriteResult {
    const peer = this.#peer!
    if (this.#ended || this.#closed || peer.#closed) return "closed"
    // Copied, as a network does: a payload that its publisher changes later arrives as it was sent.
    peer.#inbox.push(bytes.slice())
    peer.#inboxBytes += bytes.length
    peer.#schedule()
    if (peer.#inboxBytes <= highWaterMark) return "taken"
    this.#wantsDrain = true
    return "congested"
  }

  pendingBytes(): number {
    return this.#peer!.#inboxBytes
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#schedule()
  }

  end(): void {
    if (this.#ended || this.#closed) return
    this.#ended = true
    this.#peer!.#peerEnded = true
    this.#peer!.#schedule()
  }

  destroy(cause?: unknown): void {
    if (this.#closed) return
    const peer = this.#peer!
    this.#close(cause)
    if (!this.#ended) peer.#inbox = []
    if (!this.#ended) peer.#inboxBytes = 0
    this.#ended = true
    peer.#peerEnded = true
    if (cause !== undefined) peer.#cause ??= cause
    peer.#schedule()
  }

  #close(cause: unknown): void {
    this.#closed = true
    this.#inbox = []
    this.#inboxBytes = 0
    queueMicrotask(() => this.#handlers?.onClose(cause))
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return
    this.#scheduled = true
    queueMicrotask(() => this.#deliver())
  }

  #deliver(): void {
    this.#scheduled = false
    if (this.#handlers === undefined) return
    const peer = this.#peer!
    while (!this.#paused && !this.#closed && this.#inbox.length > 0) {
      const batch = this.#inbox
      this.#inbox = []
      for (let i = 0; i < batch.length; i++) {
        if (this.#paused || this.#closed) {
          if (!this.#closed) this.#inbox = [...batch.slice(i), ...this.#inbox]
          break
        }
        this.#inboxBytes -= batch[i]!.length
        this.#handlers.onData(batch[i]!)
      }
    }
    if (peer.#wantsDrain && this.#inboxBytes === 0 && !peer.#closed) {
      peer.#wantsDrain = false
      peer.#handlers?.onDrain()
    }
    if (this.#peerEnded && this.#inbox.length === 0 && !this.#closed) {
      // Like a socket that does not stay half open: the peer's end ends this side too.
      this.#close(this.#cause)
      if (!this.#ended) {
        this.#ended = true
        peer.#peerEnded = true
        peer.#schedule()
      }
    }
  }
}

/**
 * A pair of connected streams. No bytes are delivered to an end before `attach`.
 */
export interface MemoryStream extends ByteStream {
  readonly attach: (handlers: ByteStreamHandlers) => void
  /** With a cause, the peer sees it as the reason of the end. */
  readonly destroy: (cause?: unknown) => void
}

export const makePair = (): readonly [MemoryStream, MemoryStream] => {
  const first = new End()
  const second = new End()
  End.connect(first, second)
  return [first, second]
}
