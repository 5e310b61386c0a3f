/**
 * Describes values of a wrong type for error messages: the kind of the value, never its content.
 */

/** The kind of a value: "a number", "an array", "a Date". Never throws. */
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
    // Does not use the constructor's name, because code minifiers change it. A revoked proxy throws here.
    tag = Array.isArray(value) ? "array" : Object.prototype.toString.call(value).slice(8, -1)
  } catch {
    return "an object"
  }
  if (tag === "Object") return "an object"
  return `${/^[aeiou]/i.test(tag) ? "an" : "a"} ${tag.slice(0, 64)}`
}

/** A string as it is, and the kind of any other value: for errors that contain a name that was not found. */
export const nameOf = (value: unknown): string => typeof value === "string" ? value : kindOf(value)
