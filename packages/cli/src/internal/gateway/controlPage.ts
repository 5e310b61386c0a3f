/**
 * The page of the admin interface: what runs, what could not be forwarded, the topics seen and the configuration, with
 * the buttons that change it. It is one document without other files, and has no data: it asks the interface, at the
 * address that it came from. Everything from outside is put into it as text. `adminListener.ts` serves it.
 */
import * as Crypto from "node:crypto"

const style = `
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif }
body { margin: 1.5rem auto; max-width: 72rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8885; vertical-align: top }
td.payload { font-family: ui-monospace, monospace; word-break: break-all; max-width: 28rem }
pre { overflow: auto; background: #8881; padding: 1rem }
#error { color: #b3261e; min-height: 1.45em }
`

const script = `
const element = (id) => document.getElementById(id)
let token = ""
const ask = async (path, method = "GET") => {
  const headers = token === "" ? {} : { authorization: "Bearer " + token }
  const response = await fetch(path, { method, headers, cache: "no-store" })
  element("login").hidden = response.status !== 401
  if (response.ok) return response.status === 204 || response.status === 202 ? undefined : await response.json()
  const text = await response.text()
  let detail = text
  try {
    const parsed = JSON.parse(text)
    detail = parsed.detail ?? (parsed.mistakes ?? [parsed._tag]).join("; ")
  } catch {}
  throw new Error(detail || "status " + response.status)
}
// Rows stay the same elements while their values change: a click on a button that is replaced meanwhile is lost.
const fill = (id, rows) => {
  const body = element(id)
  const before = new Map(Array.from(body.rows, (row) => [row.dataset.key, row]))
  const next = rows.map(({ key, values, payload, action }) => {
    const row = before.get(String(key)) ?? document.createElement("tr")
    row.dataset.key = String(key)
    const texts = payload === undefined ? values : [...values, payload]
    texts.forEach((value, index) => {
      const cell = row.cells[index] ?? row.insertCell()
      if (cell.textContent !== String(value)) cell.textContent = String(value)
      if (index >= values.length) cell.className = "payload"
    })
    if (action !== undefined) {
      const cell = row.cells[texts.length] ?? row.insertCell()
      const button = cell.firstChild ?? cell.appendChild(document.createElement("button"))
      button.textContent = action.label
      button.onclick = () => run(() => ask(action.path, "POST"))
    }
    return row
  })
  if (next.length !== body.rows.length || next.some((row, index) => row !== body.rows[index])) {
    body.replaceChildren(...next)
  }
}
const time = (millis) => new Date(millis).toLocaleTimeString()
const look = async () => {
  const [state, failed, seen, configuration] = await Promise.all(
    ["/state", "/failed", "/topics", "/configuration"].map((path) => ask(path))
  )
  element("file").textContent = state.file
  fill("sessions", state.sessions.map((each) => ({
    key: each.name,
    values: [each.name, each.state, each.servers.join(", "), each.store ?? "none"]
  })))
  fill("forwarders", state.forwarders.map((each) => ({
    key: each.name,
    values: [
      each.name, each.state === "stopped" ? "paused" : each.state, each.received, each.forwarded, each.inFlight,
      each.deadLettered + each.failed, each.lastError ?? ""
    ],
    action: each.state === "running"
      ? { label: "Pause", path: "/forwarders/" + encodeURIComponent(each.name) + "/pause" }
      : { label: "Resume", path: "/forwarders/" + encodeURIComponent(each.name) + "/resume" }
  })))
  fill("failed", failed.map((each) => ({
    key: each.id,
    values: [
      time(each.at), each.forwarder, each.topic, each.outcome === "deadLetter" ? "dead letter" : "given up", each.reason
    ],
    payload: each.payload,
    action: { label: "Send again", path: "/failed/" + each.id + "/send" }
  })))
  element("topicsOff").hidden = seen.isOn
  fill("topics", seen.topics.map((each) => ({
    key: each.topic, values: [each.topic, each.count, each.rate, time(each.at)], payload: each.payload
  })))
  element("configuration").textContent = JSON.stringify(configuration, undefined, 2)
}
const run = async (action) => {
  try {
    if (action !== undefined) await action()
    element("error").textContent = ""
  } catch (error) {
    element("error").textContent = error.message
  }
  await look().catch((error) => { element("error").textContent = error.message })
}
element("reload").addEventListener("click", () => run(() => ask("/reload", "POST")))
element("login").addEventListener("submit", (event) => {
  event.preventDefault()
  token = element("token").value
  void run()
})
const repeat = async () => {
  if (!document.hidden) await look().catch((error) => { element("error").textContent = error.message })
  setTimeout(repeat, 2000)
}
void repeat()
`

const table = (id: string, ...heads: ReadonlyArray<string>): string =>
  `<table><thead><tr>${heads.map((head) => `<th>${head}</th>`).join("")}</tr></thead><tbody id="${id}"></tbody></table>`

/** The document. */
export const controlPage: string = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Gateway</title><style>${style}</style></head><body>
<h1>Gateway</h1>
<p><span id="file"></span> <button id="reload">Reload</button></p>
<p id="error" role="alert"></p>
<form id="login" hidden><label>Token <input id="token" type="password" autocomplete="off"></label> <button>Use</button></form>
<h2>Forwarders</h2>
${table("forwarders", "Name", "State", "Received", "Forwarded", "In flight", "Failed", "Last error", "")}
<h2>Sessions</h2>
${table("sessions", "Name", "State", "Servers", "Store")}
<h2>Not forwarded</h2>
${table("failed", "Time", "Forwarder", "Topic", "Outcome", "Reason", "Payload", "")}
<h2>Topics</h2>
<p id="topicsOff">Topics are not kept: the file has no admin.topics.</p>
${table("topics", "Topic", "Messages", "A second", "Last", "Payload")}
<h2>Configuration</h2>
<pre id="configuration"></pre>
<script>${script}</script></body></html>
`

const hash = (text: string): string => `'sha256-${Crypto.createHash("sha256").update(text).digest("base64")}'`

/** Nothing but the page's own script runs in it, no other page may frame it, and it reaches its own address only. */
export const controlPageHeaders: Readonly<Record<string, string>> = {
  "content-security-policy": [
    "default-src 'none'",
    `script-src ${hash(script)}`,
    `style-src ${hash(style)}`,
    "connect-src 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'none'"
  ].join("; "),
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store"
}
