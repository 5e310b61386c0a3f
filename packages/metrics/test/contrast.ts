/**
 * Runs in the browser: the texts whose colour is too close to what is behind them (WCAG 2.2, 1.4.3).
 */
export const contrastViolations = (least: number): ReadonlyArray<string> => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true })!
  const channels = (colour: string): readonly [number, number, number, number] => {
    canvas.clearRect(0, 0, 1, 1)
    canvas.fillStyle = colour
    canvas.fillRect(0, 0, 1, 1)
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data
    return [red!, green!, blue!, alpha!]
  }
  const luminance = (colour: string): number => {
    const [red, green, blue] = channels(colour).slice(0, 3).map((value) => {
      const part = value / 255
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!
  }
  const behind = (element: Element): string => {
    for (let each: Element | null = element; each !== null; each = each.parentElement) {
      const { backgroundColor } = getComputedStyle(each)
      if (channels(backgroundColor)[3] === 255) return backgroundColor
    }
    return "white"
  }
  const violations: Array<string> = []
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (texts.nextNode()) {
    const text = texts.currentNode.textContent!.trim()
    const element = texts.currentNode.parentElement!
    if (text === "" || !element.checkVisibility() || ["SCRIPT", "STYLE"].includes(element.tagName)) continue
    const style = getComputedStyle(element)
    const colour = element instanceof SVGElement ? style.fill : style.color
    const [darker, lighter] = [luminance(colour), luminance(behind(element))].sort((a, b) => a - b)
    const ratio = (lighter! + 0.05) / (darker! + 0.05)
    if (ratio < least) violations.push(`${text}: ${ratio.toFixed(2)}`)
  }
  return violations
}
