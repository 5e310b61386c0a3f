/**
 * Calls a function for each item. An exception of one call is reported, and the other items still get their calls:
 * their fibers would otherwise wait forever.
 */
export const each = <A>(
  items: ReadonlyArray<A>,
  call: (item: A) => void,
  handlers: { readonly onDefect: (cause: unknown) => void }
): void => {
  for (let i = 0; i < items.length; i++) {
    try {
      call(items[i]!)
    } catch (cause) {
      handlers.onDefect(cause)
    }
  }
}
