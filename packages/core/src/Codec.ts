/**
 * The wire format of MQTT 3.1.1 and 5.0: packets to bytes and back.
 *
 * For programs that speak MQTT on the wire themselves, such as test brokers, proxies and recorders. The decoder is
 * strict, takes bytes in any chunking and never buffers more than one packet. The encoder joins packets into few
 * chunks.
 *
 * **Example** (Encoding packets and decoding them again)
 *
 * ```ts
 * import { Codec, Packet } from "@effect-mqttx/core"
 *
 * const encoder = Codec.makeEncoder(5)
 * encoder.write(Packet.pingreq)
 *
 * const decoder = Codec.makeDecoder({ role: "server", protocolVersion: 5, maximumPacketSize: 65_536 })
 * const packets: Array<Packet.Packet> = []
 * const violations = encoder.take().map((chunk) => decoder.push(chunk, packets))
 *
 * packets.map(({ _tag }) => _tag) // => ["Pingreq"]
 * violations // => [undefined]
 * ```
 */
export type { Decoder, DecoderOptions, EncodeFailure, Encoder, Violation } from "./internal/codec/contract.ts"
export {
  /**
   * Makes the decoder of one direction of one connection.
   *
   * @stability stable
   * @category constructors
   * @since 0.1.0
   */
  makeDecoder
} from "./internal/codec/decoder.ts"
export {
  /**
   * Encodes one packet into a new array of bytes. Throws a `RangeError` for a packet that cannot be encoded.
   *
   * @stability stable
   * @category encoding
   * @since 0.1.0
   */
  encode,
  type EncoderOptions,
  /**
   * Makes the batch encoder of one direction of one connection.
   *
   * @stability stable
   * @category constructors
   * @since 0.1.0
   */
  makeEncoder
} from "./internal/codec/encoder.ts"
export {
  /**
   * The exact number of bytes of a packet on the wire, fixed header included.
   *
   * @stability stable
   * @category encoding
   * @since 0.1.0
   */
  sizeOf
} from "./internal/codec/size.ts"
