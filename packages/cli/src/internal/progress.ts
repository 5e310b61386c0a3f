/**
 * One line on the standard error that is written again as work goes on, where the standard error is a terminal. It
 * writes nothing elsewhere, and nothing is left of the line at the end. `bench`, `simulate`, `record`, `replay` and
 * `store import` call it.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"

const eraseLine = "\r\u001b[K"

/** Shows the text twice a second until the scope ends. */
export const showProgress = (text: () => string): Effect.Effect<void, never, Stdio.Stdio | Scope.Scope> =>
  Effect.gen(function*() {
    const stdio = yield* Stdio.Stdio
    if (!(yield* stdio.stderrIsTerminal)) return
    const write = (shown: string): Effect.Effect<void> =>
      // A terminal that has gone is no reason to stop the work.
      Effect.ignore(Stream.run(Stream.make(shown), stdio.stderr()))
    yield* Effect.addFinalizer(() => write(eraseLine))
    // A longer line would go on in the next one, which is not erased. The terminal may change its width at any time.
    const show = Effect.suspend(() => write(`${eraseLine}${text().slice(0, (process.stderr.columns || 80) - 1)}`))
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(show, Effect.sleep("500 millis"))))
  })
