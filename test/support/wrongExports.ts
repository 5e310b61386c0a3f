/**
 * Tests of every exported function of a package with wrong values of every kind in each of its places.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, type Layer, References, Schema } from "effect"
import { readdirSync } from "node:fs"
import { basename } from "node:path"
import * as T from "./valueTypes.ts"
import { type Answer, type Parameter, parameter, shown, violationsOf } from "./wrongValues.ts"

/** How a function is called, and how it answers. */
export interface Subject {
  readonly answer: Answer
  readonly parameters: ReadonlyArray<Parameter>
  /** Arguments that are needed behind the parameters. */
  readonly wrap?: (call: (...given: ReadonlyArray<never>) => unknown) => (...given: ReadonlyArray<never>) => unknown
}

/** The functions of each module. */
export type Subjects = { readonly [module: string]: { readonly [name: string]: Subject } }

export const subject = (answer: Answer, ...parameters: ReadonlyArray<Parameter>): Subject => ({ answer, parameters })
export const any = (name: string): Parameter => parameter(name, T.anything)
export const nothing = (name: string, valid: () => unknown): Parameter =>
  parameter(name, T.type(name, valid, () => false))

export type Module = { readonly [name: string]: unknown }

/** Functions that are no classes, no schemas and no tags of services. */
const isFunction = (value: unknown): value is (...given: ReadonlyArray<never>) => unknown =>
  typeof value === "function" && !String(value).startsWith("class") && !Schema.isSchema(value) &&
  !Context.isKey(value) && !Effect.isEffect(value)

const id: NonNullable<Subject["wrap"]> = (call) => call

const quiet = Effect.provideService(References.MinimumLogLevel, "None")

/**
 * The tests of all modules directly in a folder; `context` is what layers and effects of the modules need, so that they
 * can be tried at all.
 */
export const testExports = (
  source: string,
  load: (module: string) => Promise<Module>,
  subjects: Subjects,
  context: Layer.Layer<never, unknown>
): void => {
  const modules = readdirSync(source)
    .filter((file) => file.endsWith(".ts") && file !== "index.ts")
    .map((file) => basename(file, ".ts"))

  describe.each(modules)("%s", (name) => {
    it.live("has no function that is not looked at here", () =>
      Effect.gen(function*() {
        const module = yield* Effect.promise(() => load(name))
        const functions = Object.entries(module).filter(([, value]) => isFunction(value)).map(([key]) => key)
        assert.sameMembers(functions, Object.keys(subjects[name] ?? {}))
      }))

    for (const [key, { answer, parameters, wrap = id }] of Object.entries(subjects[name] ?? {})) {
      it.live(`${key} takes wrong values as the rule says`, () =>
        Effect.gen(function*() {
          const module = yield* Effect.promise(() => load(name))
          const call = wrap(module[key] as (...given: ReadonlyArray<never>) => unknown)
          assert.strictEqual(shown(yield* violationsOf(`${name}.${key}`, answer, parameters, call)), "")
        }).pipe(quiet, Effect.provide(context)) as Effect.Effect<void>, 60_000)
    }
  })
}
