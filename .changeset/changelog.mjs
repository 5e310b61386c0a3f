// The changelog of a package: each change in its own words. All packages have one version, so that a line on each
// package that another one needs would say the same everywhere.

/** @type {import("@changesets/types").ChangelogFunctions} */
export default {
  getReleaseLine: async ({ summary }) => {
    const [first, ...others] = summary.trim().split("\n")
    return `- ${first}\n${others.map((line) => line === "" ? "" : `  ${line}`).join("\n")}`.trimEnd()
  },
  getDependencyReleaseLine: async () => ""
}
