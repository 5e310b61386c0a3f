/**
 * Makes one HTML document of the live page's sources: style and script are inside of it, and nothing else may run
 * beside them.
 */
import { build, transform } from "esbuild"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"

const bundle = async (directory: string): Promise<string> => {
  const { outputFiles } = await build({
    entryPoints: [Path.join(directory, "main.ts")],
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    minify: true,
    charset: "utf8",
    legalComments: "none",
    write: false,
    logLevel: "silent"
  })
  return outputFiles[0]!.text.trim()
}

const style = async (directory: string): Promise<string> => {
  const css = Fs.readFileSync(Path.join(directory, "page.css"), "utf8")
  return (await transform(css, { loader: "css", minify: true, charset: "utf8" })).code.trim()
}

const hash = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`

/** The text of the module that the server imports. */
export const pageAssets = async (directory: string): Promise<string> => {
  const [css, js] = await Promise.all([style(directory), bundle(directory)])
  const html = Fs.readFileSync(Path.join(directory, "index.html"), "utf8")
    .replace(/\n\s*/g, "\n")
    .replace("/* page.css */", () => css)
    .replace("/* page.js */", () => js)
  const policy = [
    "default-src 'none'",
    `script-src ${hash(js)}`,
    `style-src ${hash(css)}`,
    "img-src data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'"
  ].join("; ")
  return [
    "// dprint-ignore-file",
    "/**",
    " * The live page as one document. Generated from `packages/metrics/page` by `npm run page`: do not edit.",
    " */",
    `export const html: string = ${JSON.stringify(html)}`,
    "",
    "/** Its style and script are known by their hashes; it connects to its own server and to nothing else. */",
    `export const contentSecurityPolicy: string = ${JSON.stringify(policy)}`,
    ""
  ].join("\n")
}
