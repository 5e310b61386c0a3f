/**
 * package.json of a package as it is published: without what only this repository can use, and with the build for Node.
 */
import { nodeFolder } from "./nodeBuild.ts"

export type Conditions = { readonly [condition: string]: string | Conditions | null }

export interface PackageJson {
  readonly name: string
  readonly version: string
  readonly private?: boolean
  readonly description?: string
  readonly keywords?: ReadonlyArray<string>
  readonly homepage?: string
  readonly repository?: { readonly url: string; readonly directory: string }
  readonly bugs?: { readonly url: string }
  readonly license?: string
  readonly bin?: Readonly<Record<string, string>>
  readonly files?: ReadonlyArray<string>
  readonly imports?: Conditions
  readonly exports?: Conditions
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
}

const withoutSource = (conditions: Conditions): Conditions =>
  Object.fromEntries(
    Object.entries(conditions)
      .filter(([condition]) => condition !== "@effect-mqttx/source")
      .map(([condition, target]) => [
        condition,
        typeof target === "object" && target !== null ? withoutSource(target) : target
      ])
  )

/** Browsers and React Native stay with the files of `dist`, also where a bundler has the condition `node` as well. */
const withNodeBuild = (conditions: Conditions): Conditions =>
  Object.fromEntries(
    Object.entries(conditions).map(([subpath, targets]) => {
      if (typeof targets === "string" || targets === null) return [subpath, targets]
      const { default: file, ...others } = targets
      if (typeof file !== "string") throw new Error(`${subpath} has no default`)
      return [
        subpath,
        {
          ...others,
          browser: file,
          "react-native": file,
          node: file.replace("./dist/", `./${nodeFolder}/`),
          default: file
        }
      ]
    })
  )

/** The manifest to publish. `devDependencies` and scripts are of no use to those who install a package. */
export const publishedManifest = (
  manifest: PackageJson,
  options: { readonly node: boolean; readonly files: ReadonlyArray<string> }
): PackageJson => {
  const { devDependencies: _dev, scripts: _scripts, ...rest } = manifest as PackageJson & Record<string, unknown>
  const exports = withoutSource(manifest.exports!)
  return {
    ...rest,
    ...(manifest.imports === undefined ? undefined : { imports: withoutSource(manifest.imports) }),
    exports: options.node ? withNodeBuild(exports) : exports,
    files: [...manifest.files!, ...(options.node ? [`${nodeFolder}/**/*.js`] : []), ...options.files]
  }
}
