/**
 * The PostgreSQL of the examples: DATABASE_URL, or a server of their own where one is installed.
 */
import { PostgresServer } from "@effect-mqttx/testing"
import { Config, Effect, Option } from "effect"

/** The address of a database; `None`: there is none on this machine. */
export const databaseUrl = Effect.gen(function*() {
  const given = yield* Config.option(Config.String("DATABASE_URL"))
  if (Option.isSome(given) || !(yield* PostgresServer.available)) return given
  return Option.some((yield* PostgresServer.make()).url)
})
