/** The plots of the last minutes, with one cursor for all of them. */
import { areaOf, ceiling, type Frame, lineOf, scaleOf, spanOf } from "./curve.ts"
import { drawing, element, setAttribute, setText } from "./dom.ts"
import { bytes, count, duration, rate } from "./format.ts"
import type { Past, SeriesName } from "./past.ts"

interface SeriesOptions {
  readonly name: SeriesName
  readonly label: string
  readonly colour: "received" | "sent"
  readonly dashed?: boolean
}

interface PlotOptions {
  readonly title: string
  readonly format: (value: number) => string
  readonly series: ReadonlyArray<SeriesOptions>
}

const plots: ReadonlyArray<PlotOptions> = [
  {
    title: "Messages per second",
    format: rate,
    series: [
      { name: "received", label: "received", colour: "received" },
      { name: "sent", label: "sent", colour: "sent", dashed: true }
    ]
  },
  {
    title: "Bytes per second",
    format: bytes,
    series: [
      { name: "bytesReceived", label: "received", colour: "received" },
      { name: "bytesSent", label: "sent", colour: "sent", dashed: true }
    ]
  },
  {
    title: "Messages that wait",
    format: count,
    series: [
      { name: "inflight", label: "in flight", colour: "received" },
      { name: "queued", label: "queued", colour: "sent", dashed: true }
    ]
  }
]

interface Cursor {
  /** Where the pointer is, as a part of the span. */
  position: number | undefined
}

/** Pixels for the labels of the vertical axis. */
const gutter = 46

const makePlot = (options: PlotOptions, cursor: Cursor, redraw: () => void) => {
  const curves = options.series.map(({ colour, dashed = false, label, name }) => {
    const figure = element("b")
    const dash = dashed ? " dashed" : ""
    return {
      name,
      label,
      figure,
      key: element("span", { class: `series-${colour}` }, element("i", { class: dash.trim() }), label, figure),
      line: drawing("path", { class: `curve series-${colour}${dash}` })
    }
  })
  // Two areas on top of each other would say nothing.
  const area = drawing("path", { class: `area series-${options.series[0]!.colour}` })
  const gridlines = [0.5, 1].map((part) => ({
    part,
    line: drawing("line", { class: "grid" }),
    label: drawing("text", { "text-anchor": "end" })
  }))
  const axis = drawing("line", { class: "axis" })
  const cursorLine = drawing("line", { class: "cursor" })
  const [oldest, newest] = [drawing("text"), drawing("text", { "text-anchor": "end" }, "now")]
  const svg = drawing(
    "svg",
    { role: "img" },
    ...gridlines.flatMap(({ label, line }) => [line, label]),
    axis,
    area,
    ...curves.map(({ line }) => line),
    cursorLine,
    oldest,
    newest
  )
  svg.addEventListener("pointermove", (event) => {
    const { left, width } = svg.getBoundingClientRect()
    cursor.position = Math.min(1, Math.max(0, (event.clientX - left - gutter) / (width - gutter)))
    redraw()
  })
  svg.addEventListener("pointerleave", () => {
    cursor.position = undefined
    redraw()
  })
  const root = element(
    "figure",
    { class: "plot-card" },
    element("h3", {}, options.title),
    element("p", { class: "legend" }, ...curves.map(({ key }) => key)),
    svg
  )

  const update = (past: Past): void => {
    const { at, interval, totals } = past
    const width = svg.clientWidth
    const height = svg.clientHeight
    if (width === 0) return
    if (at.length === 0) return setAttribute(svg, "aria-label", `${options.title}: nothing yet`)
    const frame: Frame = { left: gutter, right: width, top: 6, bottom: height - 18 }
    const span = spanOf(at)
    const highest = ceiling(Math.max(...curves.flatMap(({ name }) => totals[name])))
    const scale = scaleOf(frame, span, highest)
    setAttribute(svg, "viewBox", `0 0 ${width} ${height}`)

    for (const { label, line, part } of gridlines) {
      const y = scale.y(highest * part)
      membership(line, frame.left, y, frame.right, y)
      setAttribute(label, "x", `${gutter - 8}`)
      setAttribute(label, "y", `${y + 4}`)
      setText(label, highest * part % 1 === 0 ? options.format(highest * part) : "")
    }
    membership(axis, frame.left, frame.bottom, frame.right, frame.bottom)
    setAttribute(oldest, "x", `${gutter}`)
    setAttribute(oldest, "y", `${height - 3}`)
    setText(oldest, `${duration(Math.round((span.to - span.from) / 1000) * 1000)} ago`)
    setAttribute(newest, "x", `${width}`)
    setAttribute(newest, "y", `${height - 3}`)

    const index = cursor.position === undefined
      ? at.length - 1
      : nearest(at, span.from + cursor.position * (span.to - span.from))
    const x = scale.x(at[index]!)
    membership(cursorLine, x, frame.top, x, frame.bottom)
    cursorLine.style.display = cursor.position === undefined ? "none" : ""

    setAttribute(area, "d", areaOf(at, totals[options.series[0]!.name], scale, frame))
    for (const { figure, line, name } of curves) {
      setAttribute(line, "d", lineOf(at, totals[name], scale, 3.5 * interval))
      setText(figure, options.format(totals[name][index] ?? 0))
    }
    const spoken = curves.map(({ label, name }) =>
      `${label} now ${options.format(totals[name].at(-1) ?? 0)}, at most ${options.format(Math.max(...totals[name]))}`
    )
    setAttribute(svg, "aria-label", `${options.title}: ${spoken.join("; ")}`)
  }
  return { root, update }
}

const membership = (line: SVGLineElement, x1: number, y1: number, x2: number, y2: number): void => {
  setAttribute(line, "x1", `${x1}`)
  setAttribute(line, "y1", `${y1}`)
  setAttribute(line, "x2", `${x2}`)
  setAttribute(line, "y2", `${y2}`)
}

const nearest = (at: ReadonlyArray<number>, wanted: number): number => {
  let best = 0
  for (let i = 1; i < at.length; i++) {
    if (Math.abs(at[i]! - wanted) < Math.abs(at[best]! - wanted)) best = i
  }
  return best
}

/** Puts the plots into an element; the answer draws them. */
export const makePlots = (parent: Element): (past: Past) => void => {
  const cursor: Cursor = { position: undefined }
  let latest: Past | undefined
  const redraw = (): void => {
    if (latest !== undefined) { for (const { update } of made) update(latest) }
  }
  const made = plots.map((options) => makePlot(options, cursor, redraw))
  parent.append(...made.map(({ root }) => root))
  new ResizeObserver(redraw).observe(parent)
  return (past) => {
    latest = past
    redraw()
  }
}
