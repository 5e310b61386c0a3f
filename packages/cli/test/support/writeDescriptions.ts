/**
 * `npm run describe`: writes the descriptions of options after a change of the comments above them.
 */
import * as Fs from "node:fs"
import { descriptionsModule } from "./optionDescriptions.ts"

Fs.writeFileSync("packages/cli/src/internal/gateway/optionDescriptions.ts", descriptionsModule(process.cwd()))
