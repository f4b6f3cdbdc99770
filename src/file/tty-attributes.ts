/**
 * The modes of terminals in the words of stty(1), from and to the bits of `termios2`; `Tty` is the public face.
 */
import type * as Abi from "../Abi.ts"
import * as bits from "../ioctl/constants-terminal.ts"

// ---------------------------------------------------------------------------------------------------------------------
// the words
// ---------------------------------------------------------------------------------------------------------------------

type Field = "c_iflag" | "c_oflag" | "c_cflag" | "c_lflag"

const flags = {
  ignbrk: ["c_iflag", bits.IGNBRK],
  brkint: ["c_iflag", bits.BRKINT],
  ignpar: ["c_iflag", bits.IGNPAR],
  parmrk: ["c_iflag", bits.PARMRK],
  inpck: ["c_iflag", bits.INPCK],
  istrip: ["c_iflag", bits.ISTRIP],
  inlcr: ["c_iflag", bits.INLCR],
  igncr: ["c_iflag", bits.IGNCR],
  icrnl: ["c_iflag", bits.ICRNL],
  iuclc: ["c_iflag", bits.IUCLC],
  ixon: ["c_iflag", bits.IXON],
  ixany: ["c_iflag", bits.IXANY],
  ixoff: ["c_iflag", bits.IXOFF],
  imaxbel: ["c_iflag", bits.IMAXBEL],
  iutf8: ["c_iflag", bits.IUTF8],
  opost: ["c_oflag", bits.OPOST],
  olcuc: ["c_oflag", bits.OLCUC],
  onlcr: ["c_oflag", bits.ONLCR],
  ocrnl: ["c_oflag", bits.OCRNL],
  onocr: ["c_oflag", bits.ONOCR],
  onlret: ["c_oflag", bits.ONLRET],
  ofill: ["c_oflag", bits.OFILL],
  ofdel: ["c_oflag", bits.OFDEL],
  cstopb: ["c_cflag", bits.CSTOPB],
  cread: ["c_cflag", bits.CREAD],
  parenb: ["c_cflag", bits.PARENB],
  parodd: ["c_cflag", bits.PARODD],
  hupcl: ["c_cflag", bits.HUPCL],
  clocal: ["c_cflag", bits.CLOCAL],
  cmspar: ["c_cflag", bits.CMSPAR],
  crtscts: ["c_cflag", bits.CRTSCTS],
  isig: ["c_lflag", bits.ISIG],
  icanon: ["c_lflag", bits.ICANON],
  xcase: ["c_lflag", bits.XCASE],
  echo: ["c_lflag", bits.ECHO],
  echoe: ["c_lflag", bits.ECHOE],
  echok: ["c_lflag", bits.ECHOK],
  echonl: ["c_lflag", bits.ECHONL],
  noflsh: ["c_lflag", bits.NOFLSH],
  tostop: ["c_lflag", bits.TOSTOP],
  echoctl: ["c_lflag", bits.ECHOCTL],
  echoprt: ["c_lflag", bits.ECHOPRT],
  echoke: ["c_lflag", bits.ECHOKE],
  flusho: ["c_lflag", bits.FLUSHO],
  pendin: ["c_lflag", bits.PENDIN],
  iexten: ["c_lflag", bits.IEXTEN],
  extproc: ["c_lflag", bits.EXTPROC]
} as const satisfies { readonly [word: string]: readonly [Field, number] }

/** Delays of paper and tubes: numbers from 0 on, within these bits of `c_oflag`. */
const delays = {
  nldly: bits.NLDLY,
  crdly: bits.CRDLY,
  tabdly: bits.TABDLY,
  bsdly: bits.BSDLY,
  vtdly: bits.VTDLY,
  ffdly: bits.FFDLY
}

/** Where in `c_cc` each control character is. */
const characters = {
  intr: bits.VINTR,
  quit: bits.VQUIT,
  erase: bits.VERASE,
  kill: bits.VKILL,
  eof: bits.VEOF,
  time: bits.VTIME,
  min: bits.VMIN,
  swtc: bits.VSWTC,
  start: bits.VSTART,
  stop: bits.VSTOP,
  susp: bits.VSUSP,
  eol: bits.VEOL,
  reprint: bits.VREPRINT,
  discard: bits.VDISCARD,
  werase: bits.VWERASE,
  lnext: bits.VLNEXT,
  eol2: bits.VEOL2
}

/**
 * The modes of a terminal, by the words of stty(1) and termios(3):
 *
 * - what is on or off: `echo`, `icanon`, `isig`, `icrnl`, `onlcr`, `crtscts` and so on
 * - `csize`: the bits of a character, 5 to 8
 * - `ispeed` and `ospeed`: the speeds in bits per second, any number
 * - the control characters as bytes, 0 for none: `intr`, `eof`, `erase` and so on
 * - `min` and `time`: without `icanon`, how many bytes a read waits for, and how many tenths of a second
 * - `nldly`, `crdly`, `tabdly`, `bsdly`, `vtdly`, `ffdly`: delays, from 0; `tabdly: 3` makes tabs spaces
 * - `line`: the line discipline
 *
 * @category models
 * @since 0.1.0
 */
export type Attributes = { readonly [Word in keyof typeof flags]: boolean } & {
  readonly [Word in keyof typeof delays | keyof typeof characters]: number
} & {
  readonly csize: 5 | 6 | 7 | 8
  readonly ispeed: number
  readonly ospeed: number
  readonly line: number
}

/**
 * Those modes of a terminal that are to change.
 *
 * @category models
 * @since 0.1.0
 */
export type Changes = { readonly [Word in keyof Attributes]?: Attributes[Word] | undefined }

/**
 * What raw mode changes: `cfmakeraw` of termios(3).
 *
 * @category modes
 * @since 0.1.0
 */
export const rawChanges = {
  ignbrk: false,
  brkint: false,
  parmrk: false,
  istrip: false,
  inlcr: false,
  igncr: false,
  icrnl: false,
  ixon: false,
  opost: false,
  echo: false,
  echonl: false,
  icanon: false,
  isig: false,
  iexten: false,
  parenb: false,
  csize: 8,
  min: 1,
  time: 0
} as const satisfies Changes

// ---------------------------------------------------------------------------------------------------------------------
// from bits
// ---------------------------------------------------------------------------------------------------------------------

const lowestBit = (mask: number): number => mask & -mask

const sizes = [5, 6, 7, 8] as const

const isOn = (termios: Abi.termios2, [field, bit]: readonly [Field, number]): boolean => (termios[field] & bit) !== 0

export const attributesOf = (termios: Abi.termios2): Attributes => {
  const { c_cc, c_cflag, c_ispeed, c_line, c_oflag, c_ospeed } = termios
  return {
    ...mapped(flags, (flag) => isOn(termios, flag)),
    ...mapped(delays, (mask) => (c_oflag & mask) / lowestBit(mask)),
    ...mapped(characters, (index) => c_cc[index] ?? 0),
    csize: sizes[(c_cflag & bits.CSIZE) / lowestBit(bits.CSIZE)] ?? 8,
    ispeed: c_ispeed,
    ospeed: c_ospeed,
    line: c_line
  }
}

const mapped = <K extends string, A, B>(
  words: { readonly [Word in K]: A },
  f: (value: A) => B
): { readonly [Word in K]: B } =>
  // Object.entries forgets the keys' type.
  Object.fromEntries(Object.entries<A>(words).map(([word, value]) => [word, f(value)])) as { [Word in K]: B }

// ---------------------------------------------------------------------------------------------------------------------
// to bits
// ---------------------------------------------------------------------------------------------------------------------

const within = (name: string, value: number, least: number, most: number): number => {
  if (typeof value !== "number") throw new TypeError(`${name}: expected a number, got ${typeof value}`)
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(`${name}: expected an integer from ${least} to ${most}, got ${value}`)
  }
  return value
}

const withBits = (before: number, mask: number, value: number): number => ((before & ~mask) | value) >>> 0

/** The modes with some changed. A value outside its range stays in the record, and is refused when that is encoded. */
export const apply = (before: Abi.termios2, changes: Changes): Abi.termios2 => {
  const after = {
    c_iflag: before.c_iflag,
    c_oflag: before.c_oflag,
    c_cflag: before.c_cflag,
    c_lflag: before.c_lflag,
    c_line: before.c_line,
    c_cc: before.c_cc.slice(),
    c_ispeed: before.c_ispeed,
    c_ospeed: before.c_ospeed
  }
  for (const [word, value] of Object.entries(changes)) {
    if (value === undefined) continue
    if (isWord(flags, word)) {
      if (typeof value !== "boolean") throw new TypeError(`${word}: expected a boolean, got ${typeof value}`)
      const [field, bit] = flags[word]
      after[field] = withBits(after[field], bit, value ? bit : 0)
    } else if (typeof value === "boolean") {
      throw new TypeError(`${word}: expected a number, got a boolean`)
    } else if (isWord(delays, word)) {
      const mask = delays[word]
      const unit = lowestBit(mask)
      after.c_oflag = withBits(after.c_oflag, mask, within(word, value, 0, mask / unit) * unit)
    } else if (isWord(characters, word)) {
      after.c_cc[characters[word]] = within(word, value, 0, 255)
    } else {
      setOther(after, word, value)
    }
  }
  return after
}

type Mutable = { -readonly [Name in keyof Abi.termios2]: Abi.termios2[Name] }

const most = 2 ** 32 - 1

const setOther = (after: Mutable, word: string, value: number): void => {
  switch (word) {
    case "csize":
      after.c_cflag = withBits(after.c_cflag, bits.CSIZE, (within(word, value, 5, 8) - 5) * lowestBit(bits.CSIZE))
      break
    case "ospeed":
      after.c_cflag = withBits(after.c_cflag, bits.CBAUD, bits.BOTHER)
      after.c_ospeed = within(word, value, 0, most)
      break
    case "ispeed":
      after.c_cflag = withBits(after.c_cflag, bits.CIBAUD, bits.BOTHER << bits.IBSHIFT)
      after.c_ispeed = within(word, value, 0, most)
      break
    case "line":
      after.c_line = within(word, value, 0, 255)
      break
    default:
      throw new TypeError(`${word} is no mode of a terminal`)
  }
}

const isWord = <K extends string>(words: { readonly [Word in K]: unknown }, word: string): word is K =>
  Object.hasOwn(words, word)
