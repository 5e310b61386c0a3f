/** Light, dark, or as the system has it; remembered by the browser. */
import { byId, setAttribute, setText } from "./dom.ts"

const themes = ["system", "light", "dark"] as const
type Theme = typeof themes[number]

const names: Readonly<Record<Theme, string>> = { system: "System", light: "Light", dark: "Dark" }
const key = "effect-mqttx.theme"

/** A browser that keeps nothing, in a private window for example, throws. */
const stored = (): Theme => {
  try {
    return themes.find((theme) => theme === localStorage.getItem(key)) ?? "system"
  } catch {
    return "system"
  }
}

const store = (theme: Theme): void => {
  try {
    localStorage.setItem(key, theme)
  } catch {
    // It holds until the page is closed.
  }
}

export const startTheme = (): void => {
  const button = byId<HTMLButtonElement>("theme")
  let current = stored()
  const show = (): void => {
    document.documentElement.dataset.theme = current
    setText(byId("theme-text"), names[current])
    setAttribute(byId("theme-icon"), "href", `#icon-${current}`)
    setAttribute(button, "aria-label", `Theme: ${names[current]}`)
  }
  button.addEventListener("click", () => {
    current = themes[(themes.indexOf(current) + 1) % themes.length]!
    store(current)
    show()
  })
  show()
}
