/** `npm run page`: writes the generated module, from the root of the repository. */
import * as Fs from "node:fs"
import { pageAssets } from "./assets.ts"

Fs.writeFileSync("packages/metrics/src/internal/page/assets.ts", await pageAssets("packages/metrics/page"))
