/** The few operations on the document that the page needs. Text is only ever set as text, never as markup. */

export const byId = <E extends Element = HTMLElement>(id: string): E => {
  const found = document.getElementById(id)
  if (found === null) throw new Error(`the page has no #${id}`)
  return found as Element as E
}

type Child = Node | string

export const element = <K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...children: ReadonlyArray<Child>
): HTMLElementTagNameMap[K] => {
  const created = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) created.setAttribute(name, value)
  created.append(...children)
  return created
}

export const drawing = <K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...children: ReadonlyArray<Child>
): SVGElementTagNameMap[K] => {
  const created = document.createElementNS("http://www.w3.org/2000/svg", tag)
  for (const [name, value] of Object.entries(attributes)) created.setAttribute(name, value)
  created.append(...children)
  return created
}

/** What does not change is not touched, so that a selection stays and nothing is laid out anew. */
export const setText = (target: Element, text: string): void => {
  if (target.textContent !== text) target.textContent = text
}

export const setAttribute = (target: Element, name: string, value: string): void => {
  if (target.getAttribute(name) !== value) target.setAttribute(name, value)
}

export const icon = (name: string): SVGSVGElement =>
  drawing("svg", { "viewBox": "0 0 20 20", "aria-hidden": "true" }, drawing("use", { href: `#icon-${name}` }))

/** A row that stays the same element as long as its key is there. */
export interface Row<A> {
  readonly root: HTMLElement
  readonly update: (value: A) => void
}

/** Keeps the children of an element in step with a list of values. */
export const keyedRows = <A>(
  parent: Element,
  keyOf: (value: A) => string,
  make: (value: A) => Row<A>
): (values: ReadonlyArray<A>) => void => {
  const rows = new Map<string, Row<A>>()
  return (values) => {
    const gone = new Set(rows.keys())
    values.forEach((value, index) => {
      const key = keyOf(value)
      gone.delete(key)
      let row = rows.get(key)
      if (row === undefined) {
        row = make(value)
        rows.set(key, row)
      }
      row.update(value)
      if (parent.children[index] !== row.root) parent.insertBefore(row.root, parent.children[index] ?? null)
    })
    for (const key of gone) {
      rows.get(key)!.root.remove()
      rows.delete(key)
    }
  }
}
