/** Structures of input devices, real and made by programs. */
import * as Struct from "../Struct.ts"

/**
 * Something that happened at an input device: what reading it gives and writing to a `uinput` device takes.
 *
 * @category structures
 * @since 0.1.0
 */
export const input_event = Struct.make("input_event", {
  tv_sec: Struct.i64,
  tv_usec: Struct.i64,
  type: Struct.u16,
  code: Struct.u16,
  value: Struct.i32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface input_event extends Struct.Type<typeof input_event> {}

/**
 * What kind of device it is: `BUS_*` and the numbers of its maker.
 *
 * @category structures
 * @since 0.1.0
 */
export const input_id = Struct.make("input_id", {
  bustype: Struct.u16,
  vendor: Struct.u16,
  product: Struct.u16,
  version: Struct.u16
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface input_id extends Struct.Type<typeof input_id> {}

/**
 * The value and the range of an axis.
 *
 * @category structures
 * @since 0.1.0
 */
export const input_absinfo = Struct.make("input_absinfo", {
  value: Struct.i32,
  minimum: Struct.i32,
  maximum: Struct.i32,
  fuzz: Struct.i32,
  flat: Struct.i32,
  resolution: Struct.i32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface input_absinfo extends Struct.Type<typeof input_absinfo> {}

/**
 * Which key code a scan code stands for.
 *
 * @category structures
 * @since 0.1.0
 */
export const input_keymap_entry = Struct.make("input_keymap_entry", {
  flags: Struct.u8,
  len: Struct.u8,
  index: Struct.u16,
  keycode: Struct.u32,
  scancode: Struct.bytes(32)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface input_keymap_entry extends Struct.Type<typeof input_keymap_entry> {}

/**
 * Which codes of a type of events are to be told; `codes_ptr` points to a bit for each.
 *
 * @category structures
 * @since 0.1.0
 */
export const input_mask = Struct.make("input_mask", { type: Struct.u32, codes_size: Struct.u32, codes_ptr: Struct.u64 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface input_mask extends Struct.Type<typeof input_mask> {}

/**
 * When and how long an effect plays, in milliseconds.
 *
 * @category structures
 * @since 0.1.0
 */
export const ff_replay = Struct.make("ff_replay", { length: Struct.u16, delay: Struct.u16 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface ff_replay extends Struct.Type<typeof ff_replay> {}

/**
 * Which button plays an effect.
 *
 * @category structures
 * @since 0.1.0
 */
export const ff_trigger = Struct.make("ff_trigger", { button: Struct.u16, interval: Struct.u16 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface ff_trigger extends Struct.Type<typeof ff_trigger> {}

/**
 * How an effect begins and ends.
 *
 * @category structures
 * @since 0.1.0
 */
export const ff_envelope = Struct.make("ff_envelope", {
  attack_length: Struct.u16,
  attack_level: Struct.u16,
  fade_length: Struct.u16,
  fade_level: Struct.u16
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface ff_envelope extends Struct.Type<typeof ff_envelope> {}

/**
 * A constant force.
 *
 * @category structures
 * @since 0.1.0
 */
export const ff_constant_effect = Struct.make("ff_constant_effect", { level: Struct.i16, envelope: ff_envelope })
/**
 * @category structures
 * @since 0.1.0
 */
export interface ff_constant_effect extends Struct.Type<typeof ff_constant_effect> {}

/**
 * A force that grows or fades.
 *
 * @category structures
 * @since 0.1.0
 */
export const ff_ramp_effect = Struct.make("ff_ramp_effect", {
  start_level: Struct.i16,
  end_level: Struct.i16,
  envelope: ff_envelope
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface ff_ramp_effect extends Struct.Type<typeof ff_ramp_effect> {}

/**
 * A spring, friction, inertia.
 *
 * @category structures
 * @since 0.1.0
 */
export const ff_condition_effect = Struct.make("ff_condition_effect", {
  right_saturation: Struct.u16,
  left_saturation: Struct.u16,
  right_coeff: Struct.i16,
  left_coeff: Struct.i16,
  deadband: Struct.u16,
  center: Struct.i16
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface ff_condition_effect extends Struct.Type<typeof ff_condition_effect> {}

/**
 * A wave.
 *
 * @category structures
 * @since 0.1.0
 */
export const ff_periodic_effect = Struct.make("ff_periodic_effect", {
  waveform: Struct.u16,
  period: Struct.u16,
  magnitude: Struct.i16,
  offset: Struct.i16,
  phase: Struct.u16,
  envelope: ff_envelope,
  custom_len: Struct.u32,
  custom_data: Struct.pointer
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface ff_periodic_effect extends Struct.Type<typeof ff_periodic_effect> {}

/**
 * The two motors of a gamepad.
 *
 * @category structures
 * @since 0.1.0
 */
export const ff_rumble_effect = Struct.make("ff_rumble_effect", {
  strong_magnitude: Struct.u16,
  weak_magnitude: Struct.u16
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface ff_rumble_effect extends Struct.Type<typeof ff_rumble_effect> {}

/**
 * An effect's own part: which member it is depends on its type.
 *
 * @category structures
 * @since 0.1.0
 */
export const ff_effect_u = Struct.union("ff_effect_u", {
  constant: ff_constant_effect,
  ramp: ff_ramp_effect,
  periodic: ff_periodic_effect,
  condition: Struct.array(ff_condition_effect, 2),
  rumble: ff_rumble_effect
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface ff_effect_u extends Struct.Type<typeof ff_effect_u> {}

/**
 * An effect of force feedback.
 *
 * @category structures
 * @since 0.1.0
 */
export const ff_effect = Struct.make("ff_effect", {
  type: Struct.u16,
  id: Struct.i16,
  direction: Struct.u16,
  trigger: ff_trigger,
  replay: ff_replay,
  u: ff_effect_u
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface ff_effect extends Struct.Type<typeof ff_effect> {}

/**
 * What a device made by a program is.
 *
 * @category structures
 * @since 0.1.0
 */
export const uinput_setup = Struct.make("uinput_setup", {
  id: input_id,
  name: Struct.bytes(80),
  ff_effects_max: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface uinput_setup extends Struct.Type<typeof uinput_setup> {}

/**
 * An axis of a device made by a program.
 *
 * @category structures
 * @since 0.1.0
 */
export const uinput_abs_setup = Struct.make("uinput_abs_setup", { code: Struct.u16, absinfo: input_absinfo })
/**
 * @category structures
 * @since 0.1.0
 */
export interface uinput_abs_setup extends Struct.Type<typeof uinput_abs_setup> {}

/**
 * An effect that is to be played by a device made by a program.
 *
 * @category structures
 * @since 0.1.0
 */
export const uinput_ff_upload = Struct.make("uinput_ff_upload", {
  request_id: Struct.u32,
  retval: Struct.i32,
  effect: ff_effect,
  old: ff_effect
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface uinput_ff_upload extends Struct.Type<typeof uinput_ff_upload> {}

/**
 * An effect that a device made by a program is to forget.
 *
 * @category structures
 * @since 0.1.0
 */
export const uinput_ff_erase = Struct.make("uinput_ff_erase", {
  request_id: Struct.u32,
  retval: Struct.i32,
  effect_id: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface uinput_ff_erase extends Struct.Type<typeof uinput_ff_erase> {}
