/**
 * Packs the published packages into build/packages: `npm run pack`. With `--import` it measures what an import of the
 * core costs.
 */
import * as Path from "node:path"
import { importTime } from "./packing/importTime.ts"
import { directory, pack } from "./packing/pack.ts"
import { root } from "./repository.ts"

for (const { files, size, tarball } of await pack()) {
  console.log(`${Path.relative(root, tarball)}: ${files.length} files, ${Math.ceil(size / 1024)} KiB`)
}
if (process.argv.includes("--import")) {
  const { files, node } = importTime(Path.join(directory, "core"))
  console.log(`import over effect, processor time: ${files.toFixed(0)} ms from files, ${node.toFixed(0)} ms for Node`)
}
