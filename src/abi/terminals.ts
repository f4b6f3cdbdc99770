/** Structures of the requests to terminals and serial lines. */
import * as Struct from "../Struct.ts"

/**
 * The size of a terminal's window, in characters and, where it knows, in pixels.
 *
 * @category structures
 * @since 0.1.0
 */
export const winsize = Struct.make("winsize", {
  ws_row: Struct.u16,
  ws_col: Struct.u16,
  ws_xpixel: Struct.u16,
  ws_ypixel: Struct.u16
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface winsize extends Struct.Type<typeof winsize> {}

/**
 * The modes of a terminal, as they were before `termios`.
 *
 * @category structures
 * @since 0.1.0
 */
export const termio = Struct.make("termio", {
  c_iflag: Struct.u16,
  c_oflag: Struct.u16,
  c_cflag: Struct.u16,
  c_lflag: Struct.u16,
  c_line: Struct.u8,
  c_cc: Struct.bytes(8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface termio extends Struct.Type<typeof termio> {}

/**
 * The modes of a terminal: bits for input, output, the line and what is local, and the control characters.
 *
 * @category structures
 * @since 0.1.0
 */
export const termios = Struct.make("termios", {
  c_iflag: Struct.u32,
  c_oflag: Struct.u32,
  c_cflag: Struct.u32,
  c_lflag: Struct.u32,
  c_line: Struct.u8,
  c_cc: Struct.bytes(19)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface termios extends Struct.Type<typeof termios> {}

/**
 * The modes of a terminal, with its speeds in bits per second.
 *
 * @category structures
 * @since 0.1.0
 */
export const termios2 = Struct.make("termios2", {
  c_iflag: Struct.u32,
  c_oflag: Struct.u32,
  c_cflag: Struct.u32,
  c_lflag: Struct.u32,
  c_line: Struct.u8,
  c_cc: Struct.bytes(19),
  c_ispeed: Struct.u32,
  c_ospeed: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface termios2 extends Struct.Type<typeof termios2> {}

/**
 * How a serial line is set up.
 *
 * @category structures
 * @since 0.1.0
 */
export const serial_struct = Struct.make("serial_struct", {
  type: Struct.i32,
  line: Struct.i32,
  port: Struct.u32,
  irq: Struct.i32,
  flags: Struct.i32,
  xmit_fifo_size: Struct.i32,
  custom_divisor: Struct.i32,
  baud_base: Struct.i32,
  close_delay: Struct.u16,
  io_type: Struct.aligned(Struct.u8, 1),
  reserved_char: Struct.padding(1),
  hub6: Struct.i32,
  closing_wait: Struct.u16,
  closing_wait2: Struct.u16,
  iomem_base: Struct.pointer,
  iomem_reg_shift: Struct.u16,
  port_high: Struct.u32,
  iomap_base: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface serial_struct extends Struct.Type<typeof serial_struct> {}

/**
 * What a serial line has counted: changes of its inputs, characters, errors.
 *
 * @category structures
 * @since 0.1.0
 */
export const serial_icounter_struct = Struct.make("serial_icounter_struct", {
  cts: Struct.i32,
  dsr: Struct.i32,
  rng: Struct.i32,
  dcd: Struct.i32,
  rx: Struct.i32,
  tx: Struct.i32,
  frame: Struct.i32,
  overrun: Struct.i32,
  parity: Struct.i32,
  brk: Struct.i32,
  buf_overrun: Struct.i32,
  reserved: Struct.padding(36, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface serial_icounter_struct extends Struct.Type<typeof serial_icounter_struct> {}

/**
 * How a serial line drives an RS-485 bus. `addr_recv` and `addr_dest` are since Linux 6.0.
 *
 * @category structures
 * @since 0.1.0
 */
export const serial_rs485 = Struct.make("serial_rs485", {
  flags: Struct.u32,
  delay_rts_before_send: Struct.u32,
  delay_rts_after_send: Struct.u32,
  addr_recv: Struct.u8,
  addr_dest: Struct.u8,
  padding0: Struct.padding(2),
  padding1: Struct.padding(16, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface serial_rs485 extends Struct.Type<typeof serial_rs485> {}

/**
 * How a serial line drives a smart card.
 *
 * @category structures
 * @since 0.1.0
 */
export const serial_iso7816 = Struct.make("serial_iso7816", {
  flags: Struct.u32,
  tg: Struct.u32,
  sc_fi: Struct.u32,
  sc_di: Struct.u32,
  clk: Struct.u32,
  reserved: Struct.padding(20, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface serial_iso7816 extends Struct.Type<typeof serial_iso7816> {}
