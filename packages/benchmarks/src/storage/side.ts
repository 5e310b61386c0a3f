/**
 * One measurement in a process of its own.
 */
import type { SideRequest } from "./contract.ts"

const request = JSON.parse(process.argv[2]!) as SideRequest
const result = request.side === "session"
  ? await (await import("./sessionSide.ts")).measureSession(request)
  : await (await import("./engineSide.ts")).measureEngine(request)
process.send!(result)
process.disconnect()
