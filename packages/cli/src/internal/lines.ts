/**
 * Splits bytes into numbered lines, one at a time and of a bounded length. It never decodes them: what a line means,
 * and whether it is damaged, is for the command that reads it. `replay` and `store import` call it.
 */
import * as Stream from "effect/Stream"

/** A line of a file. */
export interface Line {
  /** From 1 on. */
  readonly number: number
  /** Without its line feed; undefined: it is longer than `maximumLineLength`. */
  readonly bytes: Uint8Array | undefined
}

/** In bytes. The largest payload of MQTT fits, in Base64. */
export const maximumLineLength = 400_000_000

interface State {
  readonly number: number
  readonly parts: ReadonlyArray<Uint8Array>
  readonly length: number
}

const begin: State = { number: 1, parts: [], length: 0 }

const lineOf = ({ length, number, parts }: State): Line => {
  if (length > maximumLineLength) return { number, bytes: undefined }
  if (parts.length === 1) return { number, bytes: parts[0]! }
  const bytes = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return { number, bytes }
}

const extended = (state: State, part: Uint8Array): State => {
  const length = state.length + part.length
  // What is too long is not kept.
  return { number: state.number, parts: length > maximumLineLength ? [] : [...state.parts, part], length }
}

/** The lines of a file. The last one may end without a line feed. */
export const linesOf = <E, R>(source: Stream.Stream<Uint8Array, E, R>): Stream.Stream<Line, E, R> =>
  Stream.mapAccum(source, () => begin, (given, chunk) => {
    let state = given
    const lines: Array<Line> = []
    let at = 0
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, at)) {
      lines.push(lineOf(extended(state, chunk.subarray(at, end))))
      state = { ...begin, number: state.number + 1 }
      at = end + 1
    }
    return [at === chunk.length ? state : extended(state, chunk.subarray(at)), lines] as const
  }, { onHalt: (state) => state.length === 0 ? [] : [lineOf(state)] })
