interface LockedPackage {
  readonly resolved?: string
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/**
 * What a lockfile must not have: the host that it was made with, and gaps where another platform's native packages
 * belong (npm leaves them out when a registry does not serve them, and then `npm ci` refuses the lockfile everywhere).
 */
export const lockViolations = (text: string): ReadonlyArray<string> => {
  const { packages } = JSON.parse(text) as { readonly packages: Readonly<Record<string, LockedPackage>> }
  const violations: Array<string> = []
  for (const [path, { optionalDependencies = {}, resolved }] of Object.entries(packages)) {
    if (resolved?.includes("://") === true) violations.push(`${path}: is resolved to ${resolved}`)
    for (const name of Object.keys(optionalDependencies)) {
      if (!(`node_modules/${name}` in packages) && !(`${path}/node_modules/${name}` in packages)) {
        violations.push(`${path}: ${name} is not in the lockfile`)
      }
    }
  }
  return violations
}
