/**
 * Texts in the memory of requests: names of network interfaces and the like. Not part of the public surface.
 */

/**
 * An interface, by its name.
 *
 * @category models
 * @since 0.1.0
 */
export interface Named {
  /** At most 15 bytes. */
  readonly ifr_name: string
}

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** A text of at most so many bytes, with a NUL behind. */
export const encodeText = (name: string, text: string, most: number): Uint8Array => {
  if (typeof text !== "string") throw new TypeError(`${name}: expected a string, got ${typeof text}`)
  if (text.includes("\0")) throw new RangeError(`${name} contains a NUL`)
  const bytes = encoder.encode(text)
  // The kernel would cut it, and do what was asked to another one.
  if (bytes.length > most) throw new RangeError(`${name}: ${bytes.length} bytes are more than ${most}`)
  const ended = new Uint8Array(bytes.length + 1)
  ended.set(bytes)
  return ended
}

/** The longest name of an interface, without the NUL: IFNAMSIZ - 1. */
const longest = 15

export const interfaceName = (name: string): Uint8Array => encodeText("ifr_name", name, longest)

/** The text before the first NUL. */
export const textOf = (bytes: Uint8Array): string => {
  const end = bytes.indexOf(0)
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end))
}
