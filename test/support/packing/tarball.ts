/**
 * What is wrong with the contents of a packed package.
 */
import type { Conditions, PackageJson } from "./manifest.ts"

/** A packed package: its paths, and the text of a file. */
export interface Contents {
  readonly manifest: PackageJson
  readonly files: ReadonlyArray<string>
  readonly read: (path: string) => string
}

export const repository = "https://github.com/effect-mqttx/effect-mqttx"

const targetsOf = (conditions: Conditions): ReadonlyArray<string> =>
  Object.values(conditions).flatMap((target) =>
    target === null ? [] : typeof target === "string" ? [target] : targetsOf(target)
  )

const matching = (files: ReadonlyArray<string>, target: string): ReadonlyArray<string> => {
  const [before = "", after] = target.replace(/^\.\//, "").split("*")
  return files.filter((file) =>
    after === undefined
      ? file === before
      : file.startsWith(before) && file.endsWith(after) && !file.slice(before.length, -after.length).includes("/")
  )
}

const manifestViolations = ({ manifest }: Contents, folder: string): ReadonlyArray<string> => {
  const { bugs, description, homepage, keywords = [], license, repository: place, version } = manifest
  const checks: ReadonlyArray<readonly [boolean, string]> = [
    [description !== undefined && description.length > 20, "has no description"],
    [["effect", "mqtt"].every((word) => keywords.includes(word)), "lacks the keywords effect and mqtt"],
    [homepage === `${repository}/tree/main/packages/${folder}#readme`, "has another homepage"],
    [place?.url === `git+${repository}.git` && place.directory === `packages/${folder}`, "has another repository"],
    [bugs?.url === `${repository}/issues`, "has another address for faults"],
    [license === "MIT", "has no licence"],
    [/^[1-9]|^0\.[1-9]/.test(version), `has the version ${version}`],
    [folder === "core" || manifest.peerDependencies?.["@effect-mqttx/core"] === `^${version}`, "has another core"],
    [manifest.peerDependencies?.["effect"] === "^4.1.0", "has another Effect"]
  ]
  return checks.flatMap(([holds, violation]) => holds ? [] : [violation])
}

const subpathViolations = (files: ReadonlyArray<string>, targets: Conditions | string): ReadonlyArray<string> => {
  if (typeof targets === "string") return matching(files, targets).length === 0 ? [`no ${targets}`] : []
  const conditions = Object.keys(targets)
  const all = targetsOf(targets)
  const violations: Array<string> = []
  if (conditions[0] !== "types") violations.push("types are not first")
  if (conditions.at(-1) !== "default") violations.push("default is not last")
  for (const target of all) {
    const count = matching(files, target).length
    // A module that one condition has and another lacks could be imported on one platform only.
    if (count === 0) violations.push(`no ${target}`)
    else if (count !== matching(files, all[0]!).length) violations.push(`${count} files for ${target}`)
  }
  return violations
}

const exportViolations = ({ files, manifest }: Contents): ReadonlyArray<string> =>
  Object.entries(manifest.exports ?? {}).flatMap(([subpath, targets]) =>
    targets === null ? [] : subpathViolations(files, targets).map((violation) => `${subpath}: ${violation}`)
  )

const pages: ReadonlySet<string> = new Set(["package.json", "README.md", "LICENSE", "CHANGELOG.md"])

/** Files that the manifest names one by one, and those of a folder without folders, belong to a package as well. */
const isNamed = ({ manifest: { files: patterns = [] } }: Contents, file: string): boolean =>
  patterns.some((pattern) => pattern === file || pattern.replace("*", "") === file.replace(/[^/]*$/, ""))

const fileViolations = (contents: Contents): ReadonlyArray<string> =>
  contents.files.filter((file) =>
    !pages.has(file) && !isNamed(contents, file) &&
      !/^src\/.*\.ts$|^dist\/.*\.(?:js|d\.ts)(?:\.map)?$|^node\/.*\.js$/.test(file) ||
    /(?:^|\/)test\/|\.test\.|\.snap$/.test(file)
  ).map((file) => `holds ${file}`)

/** Files whose source map leads to no file of the package. */
const mapViolations = ({ files, read }: Contents): ReadonlyArray<string> =>
  files.filter((file) => file.endsWith(".map")).flatMap((file) => {
    const { sources } = JSON.parse(read(file)) as { readonly sources: ReadonlyArray<string> }
    const paths = sources.map((source) => new URL(source, `file:///${file}`).pathname.slice(1))
    return paths.filter((path) => !files.includes(path)).map((path) => `${file}: no ${path}`)
  })

const readmeViolations = ({ manifest, read }: Contents): ReadonlyArray<string> => {
  const readme = read("README.md")
  const { name, peerDependencies = {}, peerDependenciesMeta = {} } = manifest
  const needed = Object.keys(peerDependencies).filter((peer) => peerDependenciesMeta[peer]?.optional !== true)
  const install = /^npm install (.*)$/m.exec(readme)?.[1]?.split(" ") ?? []
  return [
    ...(readme.startsWith(`# ${name}\n`) ? [] : ["README.md: has another title"]),
    ...[name, ...needed].filter((each) => !install.includes(each)).map((each) => `README.md: does not install ${each}`),
    ...(readme.includes(`${repository}/blob/main/`) ? [] : ["README.md: has no link to the documentation"]),
    ...[...readme.matchAll(/\]\((?!https:)([^)]*)\)/g)].map(([, to]) =>
      `README.md: a link to ${to} leads nowhere on npm`
    )
  ]
}

/** Everything that is wrong with a packed package; `folder` is its place below `packages`. */
export const contentViolations = (contents: Contents, folder: string): ReadonlyArray<string> => {
  const missing = ["package.json", "README.md", "LICENSE", "CHANGELOG.md"].filter((file) =>
    !contents.files.includes(file)
  )
  return [
    ...missing.map((file) => `lacks ${file}`),
    ...manifestViolations(contents, folder),
    ...exportViolations(contents),
    ...fileViolations(contents),
    ...mapViolations(contents),
    ...(missing.includes("README.md") ? [] : readmeViolations(contents)),
    ...(contents.files.includes("CHANGELOG.md") &&
        !contents.read("CHANGELOG.md").includes(`## ${contents.manifest.version}\n`)
      ? [`CHANGELOG.md: does not have ${contents.manifest.version}`]
      : [])
  ]
}
