import { assert, it } from "@effect/vitest"
import { UnreadAnswers } from "../../src/internal/connection/unreadAnswers.ts"
import { seeded } from "../session/seeded.ts"

const largest = 30_000

it("counts acknowledgements that wait: never too few, and at most two marks and a write too many", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = seeded(seed)
    const below = (limit: number): number => Math.floor(random() * limit)
    const unread = new UnreadAnswers()
    // The acknowledgements of each write, which stand behind what else is in it.
    const ranges: Array<{ readonly from: number; readonly to: number }> = []
    let end = 0
    let taken = 0
    for (let write = 0; write < 150; write++) {
      // The network takes nothing, all or a part.
      const waiting = end - taken
      taken += [0, 0, waiting, below(waiting + 1)][below(4)]!
      const answers = below(2) * below(largest)
      const others = below(2) * below(200_000)
      ranges.push({ from: end + others, to: end + others + answers })
      end += others + answers
      unread.wrote(end, answers)
      const exact = ranges.reduce((sum, { from, to }) => sum + Math.max(0, to - Math.max(from, taken)), 0)
      const counted = unread.behind(taken)
      assert.isAtLeast(counted, exact, `seed ${seed}`)
      assert.isAtMost(counted, exact + largest + 2 * 16_384, `seed ${seed}`)
    }
  }
})
