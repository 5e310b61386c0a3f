import { load } from "./subject.ts"
import { search } from "./search.ts"
import { describe } from "./actions.ts"
import { worlds } from "./worlds.ts"
const subject = await load()
for (const plan of worlds) {
  if (process.argv[2] && !plan.name.startsWith(process.argv[2])) continue
  const r = search(subject, plan, { depth: 100, states: 1e6, seconds: Number(process.argv[3] ?? 20) })
  console.log(plan.name, r.states, r.transitions, r.depth, r.isComplete, r.seconds.toFixed(1), r.finding === undefined ? "" : r.finding.detail.slice(0,1500)+"\n   "+r.finding.trace.join("; ")+(r.finding.isAtEnd?" [end]":""))
}
