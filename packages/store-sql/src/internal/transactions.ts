/**
 * Takes effects out of the transaction that their caller may have begun.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as SqlClient from "effect/sql/SqlClient"

/** Runs an effect as if there were no transaction of this client: a rollback of its caller does not undo it. */
export const outside = <A, E, R>(sql: SqlClient.SqlClient, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.updateContext(
    effect,
    (context: Context.Context<R>) => Context.omit(sql.transactionService)(context) as Context.Context<R>
  )
