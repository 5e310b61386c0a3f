/**
 * What is wrong with a configuration file, and where. Mistakes hold no values of the file, which may be secrets.
 */
import type { Path, Position } from "./positions.ts"

export interface Mistake {
  readonly path: Path
  readonly message: string
  /** Undefined: it is not known, for example in a file that cannot be read. */
  readonly position: Position | undefined
}

/** A mistake as one line, in the form that editors and compilers use: `file:line:column: path: message`. */
export const formatMistake = (file: string, { message, path, position }: Mistake): string => {
  const place = position === undefined ? file : `${file}:${position.line}:${position.column}`
  return `${place}: ${path.length === 0 ? "" : `${path.join(".")}: `}${message}`
}
