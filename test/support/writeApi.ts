/**
 * Writes the reports of the public API: `npm run api`.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { apiReports } from "./apiReport.ts"
import { root } from "./repository.ts"

for (const [path, text] of apiReports(Path.join(root, "build/api"))) Fs.writeFileSync(Path.join(root, path), text)
