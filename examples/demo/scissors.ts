/**
 * A transport that can cut its connections: everything below the sessions is swapped by one layer.
 */
import { Transport } from "@effect-mqttx/core"
import { Context, Effect, Layer, Random } from "effect"

/**
 * Cuts a connection, as a cable would: without a word to either side.
 */
export class Scissors extends Context.Service<Scissors, {
  /** Cuts one of the open connections; the number of connections that are left. */
  readonly cut: Effect.Effect<number>
}>()("examples/demo/Scissors") {}

export const layer: Layer.Layer<Scissors> = Layer.effectContext(Effect.gen(function*() {
  const real = yield* Transport.Transport
  const open = new Set<Transport.ByteStream>()
  const transport: Transport.Transport = {
    open: (request, handlers) =>
      Effect.gen(function*() {
        const stream: Transport.ByteStream = yield* real.open(request, {
          ...handlers,
          onClose: (cause) => {
            open.delete(stream)
            handlers.onClose(cause)
          }
        })
        open.add(stream)
        yield* Effect.addFinalizer(() => Effect.sync(() => open.delete(stream)))
        return stream
      })
  }
  const cut = Effect.gen(function*() {
    const streams = Array.from(open)
    if (streams.length > 0) streams[yield* Random.nextIntBetween(0, streams.length, { halfOpen: true })]!.destroy()
    return streams.length
  })
  return Context.make(Scissors, { cut }).pipe(Context.add(Transport.Transport, transport))
}))
