/**
 * How V8's heap grows. While a program is loaded, the part where objects begin grows to 32 MB and more, and the other
 * part to a third more than it needs; V8 does not give that back to a process at rest. Held small, the start of a
 * gateway takes about a tenth more processor time. `main.ts` holds it, and the program lets it grow when there is work
 * to do.
 */
import { setFlagsFromString } from "node:v8"

/** The young generation keeps its size, and the old one is collected when it has grown by a quarter. */
export const holdHeap = (): void => {
  setFlagsFromString("--semi-space-growth-factor=1")
  setFlagsFromString("--heap-growing-percent=25")
}

/** Lets both grow as V8 sees fit. */
export const growHeap = (): void => {
  setFlagsFromString("--semi-space-growth-factor=2")
  setFlagsFromString("--heap-growing-percent=0")
}
