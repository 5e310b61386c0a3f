/**
 * Reports the certificates of a connection that are about to expire, once for each threshold. `supervisor.ts` runs it
 * beside each connection, and interrupts it with the connection.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { StreamCertificate } from "../../Transport.ts"
import type { EventBody } from "./lifecycle.ts"

const day = 86_400_000

/**
 * Runs until no threshold is left. It looks at the clock at least once a day, because the wall clock may be set, and
 * because timers run for 24 days at most.
 */
export const reportExpiring = (
  certificates: ReadonlyArray<StreamCertificate>,
  thresholds: ReadonlyArray<number>,
  emit: (event: EventBody) => void
): Effect.Effect<void> =>
  Effect.gen(function*() {
    const told = certificates.map(() => Infinity)
    while (true) {
      const now = yield* Clock.currentTimeMillis
      let wait = Infinity
      for (let i = 0; i < certificates.length; i++) {
        const { expiresAt, owner, subject } = certificates[i]!
        const left = expiresAt - now
        const reached = Math.min(...thresholds.filter((days) => left <= days * day))
        if (reached < told[i]!) {
          told[i] = reached
          const daysLeft = Math.max(0, Math.ceil(left / day))
          emit({ _tag: "CertificateExpiring", certificate: owner, subject, expiresAt, daysLeft })
        }
        const next = Math.max(...thresholds.filter((days) => days < told[i]! && left > days * day))
        if (next !== -Infinity) wait = Math.min(wait, left - next * day)
      }
      if (wait === Infinity) return
      yield* Effect.sleep(Math.min(day, wait))
    }
  })
