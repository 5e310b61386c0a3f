/**
 * Calls something for each of some items. What one of the calls throws is told, and keeps none of the others from
 * theirs: they have waited for it too, and would wait for ever.
 */
export const each = <A>(
  items: ReadonlyArray<A>,
  call: (item: A) => void,
  onDefect: (cause: unknown) => void
): void => {
  for (let i = 0; i < items.length; i++) {
    try {
      call(items[i]!)
    } catch (cause) {
      onDefect(cause)
    }
  }
}
