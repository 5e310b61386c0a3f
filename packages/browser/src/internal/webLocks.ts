/**
 * Web Locks as effects. The browser frees the locks of a tab when the tab ends in any way, so a lock tells which tab
 * owns something, and whether a tab lives. `sharedTab.ts`, `ownerService.ts` and `IndexedDbStore.ts` call it.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** Frees the lock, and waits until the browser has freed it. */
type Release = Effect.Effect<void> | undefined

const request = (name: string, ifAvailable: boolean): Effect.Effect<Release> =>
  Effect.callback<Release>((resume) => {
    const ended = new AbortController()
    let free = (): void => {}
    const release = Effect.promise(() => {
      ended.abort()
      free()
      return settled
    })
    const held = (lock: Lock | null): Promise<void> | undefined => {
      if (lock === null || ended.signal.aborted) return void resume(Effect.succeed(undefined))
      return new Promise((done) => {
        free = () => done()
        resume(Effect.succeed(release))
      })
    }
    // The two options exclude each other.
    const options = ifAvailable ? { ifAvailable } : { signal: ended.signal }
    const settled = navigator.locks.request(name, options, held).catch((cause: unknown) => {
      if (!ended.signal.aborted) resume(Effect.die(cause))
    })
    return release
  })

const scoped = (name: string, ifAvailable: boolean): Effect.Effect<Release, never, Scope.Scope> =>
  Effect.acquireRelease(request(name, ifAvailable), (release) => release ?? Effect.void, { interruptible: true })

/** Waits for the lock, and holds it for the life of the scope. */
export const hold = (name: string): Effect.Effect<void, never, Scope.Scope> => Effect.asVoid(scoped(name, false))

/** Holds the lock for the life of the scope if no one has it, and answers whether it does. */
export const tryHold = (name: string): Effect.Effect<boolean, never, Scope.Scope> =>
  Effect.map(scoped(name, true), (release) => release !== undefined)

/** Waits until no one has the lock. */
export const freed = (name: string): Effect.Effect<void> => Effect.scoped(hold(name))
