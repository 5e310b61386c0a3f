import * as Fs from "node:fs"
import * as Path from "node:path"

/** Numbers from 0 to 1 that a seed decides (mulberry32). */
export const random = (seed: number): () => number => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let value = Math.imul(state ^ (state >>> 15), 1 | state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Damages one to three files of a store in ways that the seed decides, and says how. */
export const corrupt = (directory: string, seed: number): string => {
  const next = random(seed)
  const below = (limit: number) => Math.floor(next() * limit)
  const said: Array<string> = []
  for (let damages = 1 + below(3); damages > 0; damages--) {
    const files = Fs.readdirSync(directory, { recursive: true, withFileTypes: true })
      // LevelDB's own diary, the lock, and what is empty hold nothing.
      .filter((entry) => entry.isFile() && !/^LO(G|CK)/.test(entry.name))
      .map((entry) => Path.join(entry.parentPath, entry.name))
      .filter((path) => Fs.statSync(path).size > 0)
      .sort()
    const path = files[below(files.length)]!
    const name = Path.relative(directory, path)
    const bytes = Fs.readFileSync(path)
    const kind = below(5)
    if (kind === 0) {
      Fs.rmSync(path)
      said.push(`${name} deleted`)
    } else if (kind === 1) {
      const size = below(bytes.length)
      Fs.truncateSync(path, size)
      said.push(`${name} cut at ${size} of ${bytes.length}`)
    } else if (kind === 2) {
      const from = below(bytes.length)
      bytes.fill(0, from, Math.min(bytes.length, from + 1 + below(4096)))
      Fs.writeFileSync(path, bytes)
      said.push(`${name} zeros from ${from} of ${bytes.length}`)
    } else {
      const flips = 1 + below(kind === 3 ? 1 : 20)
      const places: Array<number> = []
      for (let flip = 0; flip < flips; flip++) {
        const place = below(bytes.length)
        bytes[place]! ^= 1 << below(8)
        places.push(place)
      }
      Fs.writeFileSync(path, bytes)
      said.push(`${name} bits flipped at ${places.join(", ")} of ${bytes.length}`)
    }
  }
  return said.join("; ")
}
