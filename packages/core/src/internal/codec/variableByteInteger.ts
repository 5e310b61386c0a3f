/**
 * The size of a Variable Byte Integer (MQTT 1.5.5).
 */

/**
 * The bytes of a variable byte integer.
 */
export const variableByteIntegerSize = (value: number): number =>
  value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4
