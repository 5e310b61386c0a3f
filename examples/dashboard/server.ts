/**
 * Bundles the page of the dashboard with esbuild, and serves it on loopback. In a project of your own a bundler such as
 * Vite does this.
 */
import { Effect, type Scope } from "effect"
import { build } from "esbuild"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { extname, join } from "node:path"

const html = (broker: string): string =>
  `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="broker" content="${broker}">
<title>Dashboard</title>
<h1>Rooms</h1>
<table id="rooms"></table>
<form id="command">
  <label>Room <input name="room" value="kitchen"></label>
  <label>Target <input name="target" value="21"></label>
  <button>Set</button>
</form>
<p id="outcome"></p>
<p>This tab is the <span id="role">none</span> of the session.</p>
<script type="module" src="/page.js"></script>
`

/** The page as one file. Its source has the extension of this file: .ts, or .js when it is compiled. */
const bundle = Effect.promise(async () => {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, `page${extname(import.meta.filename)}`)],
    bundle: true,
    format: "esm",
    minify: true,
    write: false
  })
  return outputFiles[0]!.text
})

/** Serves the page for a broker. Answers its address. */
export const serve = (broker: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.gen(function*() {
    const script = yield* bundle
    const server = yield* Effect.acquireRelease(
      Effect.callback<ReturnType<typeof createServer>>((resume) => {
        const made = createServer((request, response) => {
          const isScript = request.url === "/page.js"
          response.setHeader("content-type", isScript ? "text/javascript" : "text/html")
          response.end(isScript ? script : html(broker))
        })
        made.listen(0, "127.0.0.1", () => resume(Effect.succeed(made)))
      }),
      (made) =>
        Effect.callback<void>((resume) => {
          made.closeAllConnections()
          made.close(() => resume(Effect.void))
        })
    )
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  })
