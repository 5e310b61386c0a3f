/**
 * What all streams on Node share when they open: the wait until they are open, and the end with the scope.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import { isMqttError, MqttError } from "../MqttError.ts"
import * as ServerAddress from "../ServerAddress.ts"
import type { ByteStream } from "../Transport.ts"
import { fromNetworkError } from "./classification.ts"

export interface StreamOpening<Socket> {
  /**
   * Makes the socket with its listeners, one of which completes `opened`. May throw, for example for certificates and
   * keys that OpenSSL cannot read.
   */
  readonly connect: (opened: Deferred.Deferred<void, MqttError>) => Socket
  readonly destroy: (socket: Socket) => unknown
  readonly stream: (socket: Socket) => ByteStream
}

// A function of its own that makes the effect when it runs, so that an open stream holds nothing of its opening, and
// little for its end.
const ending = <Socket>(socket: Socket, destroy: (socket: Socket) => unknown) => (): Effect.Effect<void> =>
  Effect.sync(() => destroy(socket))

/**
 * Connects, and destroys the socket with the scope, or when the wait is interrupted.
 */
export const openStream = <Socket>(
  address: ServerAddress.ServerAddress,
  { connect, destroy, stream }: StreamOpening<Socket>
): Effect.Effect<ByteStream, MqttError, Scope.Scope> =>
  // No interruption can come between connecting and adding the finalizer, which alone holds the socket.
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.scope, (scope) => {
      const opened = Deferred.makeUnsafe<void, MqttError>()
      let socket: Socket
      try {
        socket = connect(opened)
      } catch (cause) {
        return Effect.fail(
          isMqttError(cause)
            ? cause
            : new MqttError({ reason: fromNetworkError(cause, "connect", ServerAddress.format(address)) })
        )
      }
      const end = ending(socket, destroy)
      return Scope.addFinalizerExit(scope, end).pipe(
        Effect.andThen(Effect.onInterrupt(restore(Deferred.await(opened)), end)),
        Effect.map(() => stream(socket))
      )
    })
  )
