/**
 * Keeps the span of a caller out of work that outlives the call: what starts with the first caller would otherwise be a
 * part of its trace permanently. Sessions use it for their fibers, and requests for their subscription.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"

/** The context without the span in which it was taken; itself, not a copy, where there is none. */
export const withoutSpan = <R>(context: Context.Context<R>): Context.Context<R> =>
  Option.isNone(Context.getOption(context, Tracer.ParentSpan))
    ? context
    : Context.omit(Tracer.ParentSpan)(context) as Context.Context<R>

/** The effect outside of every span. */
export const rooted = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.updateContext(effect, (context: Context.Context<R>) => withoutSpan(context))
