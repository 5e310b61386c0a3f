/**
 * Joins the writes to a socket within one turn, so that they go to the operating system together.
 */
import type * as Net from "node:net"

/**
 * The cork of one socket. A class to save memory, because a program may have thousands of idle sockets.
 */
export class TurnCork {
  readonly #socket: Net.Socket
  #corked = false

  constructor(socket: Net.Socket) {
    this.#socket = socket
  }

  /** Call this before a write. */
  hold(): void {
    if (!this.#corked) {
      this.#corked = true
      this.#socket.cork()
      process.nextTick(release, this)
    }
  }

  /** Sends the writes of this turn. Call it before the socket is destroyed, which would discard them. */
  release(): void {
    if (this.#corked) {
      this.#corked = false
      this.#socket.uncork()
    }
  }
}

const release = (cork: TurnCork): void => cork.release()
