/**
 * Joins what is written to a socket within one turn, so that it goes to the operating system together.
 */
import type * as Net from "node:net"

/**
 * The cork of one socket. A class, since a program may have thousands of idle sockets.
 */
export class TurnCork {
  readonly #socket: Net.Socket
  #corked = false

  constructor(socket: Net.Socket) {
    this.#socket = socket
  }

  /** To be called before a write. */
  hold(): void {
    if (!this.#corked) {
      this.#corked = true
      this.#socket.cork()
      process.nextTick(release, this)
    }
  }

  /** Hands over what was written in this turn: before the socket is destroyed, which would discard it. */
  release(): void {
    if (this.#corked) {
      this.#corked = false
      this.#socket.uncork()
    }
  }
}

const release = (cork: TurnCork): void => cork.release()
