/**
 * Templates of topic names that insert the matches of a filter's wildcards: `storage/{1}/temp`.
 *
 * `#` may match no level at all: "a/#" matches "a" as well. A template level that consists only of this match is then
 * left out, so that "a" and "a/" become two different topics.
 */
import * as Topic from "./topics.ts"

/** A piece of a template: literal text, or the match of a wildcard. */
export type Piece =
  | { readonly _tag: "Text"; readonly text: string }
  | { readonly _tag: "Whole" }
  | { readonly _tag: "Capture"; readonly index: number }

export interface CaptureTemplate {
  readonly filter: string
  readonly pieces: ReadonlyArray<Piece>
  /** The pieces for the topic for which `#` matches no level. */
  readonly parentPieces: ReadonlyArray<Piece>
}

export const makeTemplate = (filter: string, pieces: ReadonlyArray<Piece>): CaptureTemplate => {
  const wildcards = Topic.innerFilter(filter).split("/").filter((level) => level === "+" || level === "#")
  return {
    filter,
    pieces,
    parentPieces: wildcards.at(-1) === "#" ? withoutLevel(pieces, wildcards.length - 1) : pieces
  }
}

/** Whether the topic, which the filter matches, is the one for which its `#` matches no level. */
export const isParent = (filter: string, topic: string): boolean =>
  filter.endsWith("#") && levelsOf(topic) < levelsOf(Topic.innerFilter(filter))

/** The topic that the template makes of a topic; undefined when the filter does not match it. */
export const expand = ({ filter, parentPieces, pieces }: CaptureTemplate, topic: string): string | undefined => {
  const captures = Topic.captures(filter, topic)
  if (captures === undefined) return undefined
  const used = captures.at(-1) === "" && isParent(filter, topic) ? parentPieces : pieces
  let expanded = ""
  for (let i = 0; i < used.length; i++) {
    const piece = used[i]!
    expanded += piece._tag === "Text" ? piece.text : piece._tag === "Whole" ? topic : captures[piece.index] ?? ""
  }
  return expanded
}

const levelsOf = (text: string): number => {
  let levels = 1
  for (let slash = text.indexOf("/"); slash !== -1; slash = text.indexOf("/", slash + 1)) levels++
  return levels
}

/** The pieces without the levels that consist only of this capture. */
const withoutLevel = (pieces: ReadonlyArray<Piece>, index: number): ReadonlyArray<Piece> => {
  const levels: Array<Array<Piece>> = [[]]
  for (const piece of pieces) {
    if (piece._tag !== "Text") {
      levels.at(-1)!.push(piece)
      continue
    }
    for (const [at, text] of piece.text.split("/").entries()) {
      if (at > 0) levels.push([])
      if (text !== "") levels.at(-1)!.push({ _tag: "Text", text })
    }
  }
  const isLevel = (level: ReadonlyArray<Piece>): boolean =>
    level.length === 1 && level[0]!._tag === "Capture" && level[0]!.index === index
  const left: Array<Piece> = []
  for (const [at, level] of levels.filter((level) => !isLevel(level)).entries()) {
    if (at > 0) left.push({ _tag: "Text", text: "/" })
    left.push(...level)
  }
  return left
}
