/**
 * How VitePress builds the pages that `npm run site` has written.
 */
import { renderMermaidSVG } from "beautiful-mermaid"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitepress"
import { slug } from "../../test/support/links"

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

let drawings = 0

/** A drawing whose colours are those of the page, with markers of its own, and without a font from elsewhere. */
const drawn = (code: string): string => {
  const id = `drawing${++drawings}`
  const svg = renderMermaidSVG(code, {
    bg: "var(--vp-c-bg)",
    fg: "var(--vp-c-text-1)",
    line: "var(--vp-c-text-2)",
    muted: "var(--vp-c-text-2)",
    font: "inherit",
    transparent: true
  })
  return svg.replace(/ *@import [^\n]*\n/, "")
    .replaceAll(/ id="([^"]*)"/g, ` id="${id}-$1"`)
    .replaceAll(/url\(#([^)]*)\)/g, `url(#${id}-$1)`)
}

const attribute = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("\"", "&quot;")

export default defineConfig({
  title: "effect-mqttx",
  description: "A multi-session MQTT client for Effect applications",
  srcDir: at("../../build/site-pages"),
  outDir: at("../../build/site"),
  cacheDir: at("../../build/site-cache"),
  head: [["link", { rel: "icon", href: "data:," }]],
  markdown: {
    anchor: { slugify: slug },
    // Pages of the repository have braces of their own.
    attrs: { leftDelimiter: "{%", rightDelimiter: "%}" },
    config: (md) => {
      const { fence, text } = md.renderer.rules
      md.renderer.rules.fence = (tokens, index, options, env, self) => {
        const token = tokens[index]
        if (token.info.trim() === "mermaid") {
          return `<div class="drawing" v-html="${attribute(JSON.stringify(drawn(token.content)))}"></div>`
        }
        // The highlighter has no grammar for it.
        if (token.info === "promql") token.info = "text"
        return fence!(tokens, index, options, env, self)
      }
      // Braces are text, and nothing that Vue evaluates.
      md.renderer.rules.text = (...parameters) => text!(...parameters).replaceAll("{{", "&#123;&#123;")
    }
  },
  themeConfig: {
    nav: [{ text: "Documentation", link: "/docs/" }, { text: "API", link: "/api/" }],
    sidebar: JSON.parse(readFileSync(at("../../build/site-sidebar.json"), "utf8")),
    outline: [2, 3],
    search: { provider: "local" },
    socialLinks: [{ icon: "github", link: "https://github.com/effect-mqttx/effect-mqttx" }]
  },
  vite: { build: { chunkSizeWarningLimit: 8192 } }
})
