/**
 * The calls of the drill: what servers do, and what they have done.
 */
import * as Effect from "effect/Effect"
import { Rpc, RpcGroup } from "effect/rpc"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

export class Group extends RpcGroup.make(
  Rpc.make("Double", { payload: { call: Schema.Number, delay: Schema.Number }, success: Schema.Number }),
  Rpc.make("Echo", { payload: { call: Schema.Number, text: Schema.String }, success: Schema.String }),
  Rpc.make("Hang", { payload: { call: Schema.Number }, success: Schema.Void }),
  Rpc.make("Count", { payload: { call: Schema.Number, to: Schema.Number }, success: Schema.Number, stream: true })
) {}

export interface Ledger {
  /** How often each call was carried out, by all servers. */
  readonly runs: Map<number, number>
  /** Handlers that run now. */
  running: number
}

export const handlers = (ledger: Ledger) => {
  const counted = (call: number) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        ledger.runs.set(call, (ledger.runs.get(call) ?? 0) + 1)
        ledger.running++
      }),
      () =>
        Effect.sync(() => {
          ledger.running--
        })
    )
  return Group.toLayer({
    Double: ({ call, delay }) => Effect.scoped(Effect.andThen(counted(call), Effect.as(Effect.sleep(delay), 2 * call))),
    Echo: ({ call, text }) => Effect.scoped(Effect.as(counted(call), text)),
    Hang: ({ call }) => Effect.scoped(Effect.andThen(counted(call), Effect.never)),
    Count: ({ call, to }) => Stream.unwrap(Effect.as(counted(call), Stream.rechunk(Stream.range(1, to), 8)))
  })
}
