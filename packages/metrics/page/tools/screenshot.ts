/**
 * `npm run screenshot`: pictures of the live page for the README, from the demo at work. Needs Chromium.
 */
import { spawn } from "node:child_process"
import { chromium } from "playwright-core"
import { realServer } from "../../../../test/support/servers.ts"

/** So that the plots have something to show. */
const seconds = 100

const demo = spawn(process.execPath, ["examples/dist/demo.js"], { stdio: ["ignore", "pipe", "inherit"] })
const url = await new Promise<string>((resolve) => {
  let said = ""
  demo.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text
    const found = /^Live page: (.*)$/m.exec(said)?.[1]
    if (found !== undefined) resolve(found)
  })
})
const browser = await chromium.launch({ executablePath: realServer("chromium")!, args: ["--no-sandbox"] })
const page = await browser.newPage({ viewport: { width: 1280, height: 940 } })
await page.goto(url)
await page.waitForTimeout(seconds * 1000)
for (const colorScheme of ["light", "dark"] as const) {
  await page.emulateMedia({ colorScheme })
  // Just after a cut a session may be away; the picture is of the usual state.
  await page.locator("#verdict[data-level=good]").waitFor()
  await page.screenshot({ path: `docs/images/page${colorScheme === "dark" ? "-dark" : ""}.png` })
}
await browser.close()
demo.kill("SIGINT")
