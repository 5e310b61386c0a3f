/**
 * One measurement in a process of its own.
 */
import { answerWith } from "../harness/child.ts"
import type { SideRequest, SideResult } from "./contract.ts"

answerWith(async (request: SideRequest): Promise<SideResult> =>
  request.side === "session"
    ? (await import("./sessionSide.ts")).measureSession(request)
    : (await import("./engineSide.ts")).measureEngine(request)
)
