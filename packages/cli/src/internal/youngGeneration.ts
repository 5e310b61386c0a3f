/**
 * The part of V8's heap where objects begin. It grows while a program is loaded, to 32 MB and more, and V8 does not
 * give that back to a process at rest. Held small, loading takes about a tenth more processor time. `main.ts` holds it,
 * and the program lets it grow when there is work to do.
 */
import { setFlagsFromString } from "node:v8"

/** Keeps its size. */
export const holdYoungGeneration = (): void => setFlagsFromString("--semi-space-growth-factor=1")

/** Lets it grow as V8 sees fit. */
export const growYoungGeneration = (): void => setFlagsFromString("--semi-space-growth-factor=2")
