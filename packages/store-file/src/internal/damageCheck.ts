/**
 * Decides whether the records found for a session are complete.
 */
import type { StoreDamage } from "@effect-mqttx/core/SessionStore"
import type { Claim } from "./commitCounts.ts"
import { type Found, summarise } from "./sessionState.ts"

/** What is known besides the records themselves. */
export interface Evidence {
  /** Undefined: the session has no slot in the commit counts. */
  readonly claim: Claim | undefined
  readonly areCountsDamaged: boolean
  /** Whether commits are synced. Commits without a sync may be missing after a power cut. */
  readonly isSynced: boolean
  /** The damage found when the store was opened. It explains a loss, but is not a loss itself. */
  readonly incident: string | undefined
}

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? "" : "s"}`

/** The loss of a session; undefined when nothing is lost. */
export const checkDamage = (found: Found, evidence: Evidence): StoreDamage | undefined => {
  const { claim, incident, isSynced, areCountsDamaged } = evidence
  const { summary } = found
  const kept = found.checksums.size
  const findings: Array<string> = []
  let lost: number | undefined = 0

  if (found.unreadable.length > 0) {
    findings.push(`${count(found.unreadable.length, "record")} cannot be read`)
    lost = found.unreadable.length
  }
  if (summary !== undefined) {
    const sums = summarise(found.checksums, summary.commits)
    const missing = summary.records - kept - found.unreadable.length
    if (missing > 0) {
      findings.push(`${count(missing, "record")} ${missing === 1 ? "is" : "are"} missing`)
      lost += missing
    } else if (
      found.unreadable.length === 0 &&
      (sums.records !== summary.records || sums.sum !== summary.sum || sums.exclusive !== summary.exclusive)
    ) {
      findings.push("some records are older than the last commit")
      lost = undefined
    }
  } else if (kept > 0 || found.isSummaryDamaged) {
    findings.push("the summary of the records cannot be read")
    lost = undefined
  }
  const commits = summary?.commits ?? 0
  if (claim !== undefined && claim.commits > commits && !found.isSummaryDamaged) {
    const missing = claim.commits - commits
    const why = isSynced ? "" : `, as after a power cut with the durability "os"`
    findings.push(`the last ${count(missing, "commit")} ${missing === 1 ? "is" : "are"} missing${why}`)
    lost = kept === 0 ? claim.records : undefined
  }
  if (claim === undefined && (areCountsDamaged || commits > 0)) {
    findings.push("the commit counts are damaged, so that it is unknown whether the last commits are there")
    lost = undefined
  }

  if (findings.length === 0) return undefined
  if (incident !== undefined) findings.push(incident)
  return { lost, detail: `${findings.join("; ")}; ${count(kept, "record")} kept` }
}
