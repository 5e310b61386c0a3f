/**
 * Packs the published packages into build/packages: `npm run pack`. With `--import` it measures what an import of the
 * core costs; with `--install`, and the names of package managers, it installs the tarballs and runs a program;
 * with `--sbom` it writes a bill of materials.
 */
import * as Path from "node:path"
import { parseArgs } from "node:util"
import { writeBillOfMaterials } from "./packing/billOfMaterials.ts"
import { importTime } from "./packing/importTime.ts"
import { tryInstallers } from "./packing/installers.ts"
import { directory, pack } from "./packing/pack.ts"
import { root } from "./repository.ts"

const { positionals, values } = parseArgs({
  options: { import: { type: "boolean" }, install: { type: "boolean" }, sbom: { type: "boolean" } },
  allowPositionals: true
})

const packed = await pack()
for (const { files, size, tarball } of packed) {
  console.log(`${Path.relative(root, tarball)}: ${files.length} files, ${Math.ceil(size / 1024)} KiB`)
}
if (values.import === true) {
  const { files, node } = importTime(Path.join(directory, "core"))
  console.log(`import over effect, processor time: ${files.toFixed(0)} ms from files, ${node.toFixed(0)} ms for Node`)
}
if (values.install === true) await tryInstallers(packed, positionals)
if (values.sbom === true) console.log(Path.relative(root, await writeBillOfMaterials(packed)))
