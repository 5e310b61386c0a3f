#!/usr/bin/env node
/**
 * The executable. It loads the program after it has said how memory is used meanwhile, because static imports would be
 * loaded before.
 */
import { holdHeap } from "./heap.ts"

// A gateway may be at rest for days. The other commands have work to do.
if (process.argv.includes("gateway")) holdHeap()
await import("./program.ts")
