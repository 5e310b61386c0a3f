/** From numbers to the coordinates of a curve. */

export interface Frame {
  readonly left: number
  readonly right: number
  readonly top: number
  readonly bottom: number
}

export interface Span {
  readonly from: number
  readonly to: number
}

/** What is plotted: all there is, but at least half a minute, so that the first points do not jump about. */
export const spanOf = (at: ReadonlyArray<number>): Span => {
  const to = at.at(-1) ?? 0
  return { from: Math.min(at[0] ?? 0, to - 30_000), to }
}

/** The next number that reads well, also when it is halved. */
export const ceiling = (highest: number): number => {
  if (highest <= 0) return 1
  const power = 10 ** Math.floor(Math.log10(highest))
  return [1, 2, 3, 4, 6, 8, 10].find((leading) => highest <= leading * power)! * power
}

export interface Scale {
  readonly x: (at: number) => number
  readonly y: (value: number) => number
}

export const scaleOf = (frame: Frame, span: Span, highest: number): Scale => {
  const perMillisecond = (frame.right - frame.left) / Math.max(1, span.to - span.from)
  const perUnit = (frame.bottom - frame.top) / highest
  return {
    x: (at) => frame.left + (at - span.from) * perMillisecond,
    y: (value) => frame.bottom - value * perUnit
  }
}

const rounded = (value: number): string => (Math.round(value * 10) / 10).toString()

/**
 * The path of a curve, whose values belong to the last ones of `at`. It is interrupted where figures are missing.
 */
export const lineOf = (at: ReadonlyArray<number>, values: ReadonlyArray<number>, scale: Scale, gap: number): string => {
  const offset = at.length - values.length
  let path = ""
  for (let i = Math.max(0, -offset); i < values.length; i++) {
    const now = at[offset + i]!
    const before = i === 0 ? undefined : at[offset + i - 1]
    path += before === undefined || now - before > gap ? "M" : "L"
    path += `${rounded(scale.x(now))} ${rounded(scale.y(values[i]!))}`
  }
  return path
}

/** The area between a curve without interruptions and the ground. */
export const areaOf = (
  at: ReadonlyArray<number>,
  values: ReadonlyArray<number>,
  scale: Scale,
  frame: Frame
): string => {
  if (values.length === 0) return ""
  const first = at[Math.max(0, at.length - values.length)]!
  const line = lineOf(at, values, scale, Infinity)
  return `${line}L${rounded(scale.x(at.at(-1)!))} ${frame.bottom}L${rounded(scale.x(first))} ${frame.bottom}Z`
}
