/**
 * The units that the transform `convert` knows. Each is a linear function to the base unit of its quantity.
 * `transforms.ts` checks the names, and `transformPayload.ts` converts.
 */

interface Unit {
  readonly factor: number
  readonly offset: number
}

const unit = (factor: number, offset = 0): Unit => ({ factor, offset })

const inch = 0.0254
const pound = 0.453_592_37

const quantities: Readonly<Record<string, Readonly<Record<string, Unit>>>> = {
  temperature: { K: unit(1), C: unit(1, 273.15), F: unit(5 / 9, 459.67 * 5 / 9) },
  pressure: {
    Pa: unit(1),
    hPa: unit(100),
    kPa: unit(1000),
    MPa: unit(1e6),
    mbar: unit(100),
    bar: unit(1e5),
    psi: unit(pound * 9.806_65 / inch ** 2)
  },
  length: {
    m: unit(1),
    mm: unit(0.001),
    cm: unit(0.01),
    km: unit(1000),
    in: unit(inch),
    ft: unit(12 * inch),
    yd: unit(36 * inch),
    mi: unit(63_360 * inch)
  },
  mass: { kg: unit(1), mg: unit(1e-6), g: unit(0.001), t: unit(1000), lb: unit(pound), oz: unit(pound / 16) },
  speed: { "m/s": unit(1), "km/h": unit(1 / 3.6), mph: unit(63_360 * inch / 3600), kn: unit(1852 / 3600) },
  volume: { m3: unit(1), l: unit(0.001), ml: unit(1e-6), gal: unit(231 * inch ** 3) },
  energy: { J: unit(1), kJ: unit(1000), MJ: unit(1e6), Wh: unit(3600), kWh: unit(3.6e6), MWh: unit(3.6e9) },
  power: { W: unit(1), mW: unit(0.001), kW: unit(1000), MW: unit(1e6) },
  time: { s: unit(1), ms: unit(0.001), min: unit(60), h: unit(3600), d: unit(86_400) }
}

/** The names of all units. */
export const unitNames: ReadonlyArray<string> = Object.values(quantities).flatMap((units) => Object.keys(units))

const quantityOf = (name: string): Readonly<Record<string, Unit>> | undefined =>
  Object.values(quantities).find((units) => Object.hasOwn(units, name))

/** The units of the quantity of a unit. */
export const unitsLike = (name: string): ReadonlyArray<string> => Object.keys(quantityOf(name) ?? {})

/** Converts a number between two units of one quantity. */
export const convert = (value: number, from: string, to: string): number => {
  const units = quantityOf(from)!
  const source = units[from]!
  const target = units[to]!
  return (value * source.factor + source.offset - target.offset) / target.factor
}
