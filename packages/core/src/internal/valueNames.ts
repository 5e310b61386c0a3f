/**
 * Words for values of a wrong type, for the messages of errors. They say what kind of value it is and never what is in
 * it.
 */

/** What kind of thing a value is: "a number", "an array", "a Date". Never throws. */
export const kindOf = (value: unknown): string => {
  switch (typeof value) {
    case "undefined":
      return "undefined"
    case "object":
      return value === null ? "null" : kindOfObject(value)
    case "function":
      return "a function"
    default:
      return `a ${typeof value}`
  }
}

const kindOfObject = (value: object): string => {
  let tag: string
  try {
    // Not by the constructor's name: code minifiers change it. A revoked proxy throws here.
    tag = Array.isArray(value) ? "array" : Object.prototype.toString.call(value).slice(8, -1)
  } catch {
    return "an object"
  }
  if (tag === "Object") return "an object"
  return `${/^[aeiou]/i.test(tag) ? "an" : "a"} ${tag.slice(0, 64)}`
}

/** A name as it is, and of anything else what it is: for errors that carry the name of what was not found. */
export const nameOf = (value: unknown): string => typeof value === "string" ? value : kindOf(value)
