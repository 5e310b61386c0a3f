/**
 * A port for a server or a process that a test starts later, or where nothing shall listen. Tests of all packages use
 * it. It is one of those that the servers of the package for tests get, so that none of them has it.
 */
import * as Effect from "effect/Effect"
import { freePorts } from "../../packages/testing/src/internal/node/freePorts.ts"

export { freePorts, listenFree } from "../../packages/testing/src/internal/node/freePorts.ts"

/** A port where nothing listens, see `freePorts`. */
export const freePort: Effect.Effect<number> = Effect.map(freePorts(1), ([port]) => port!)
