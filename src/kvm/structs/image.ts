/** Structures of images of programs and kernels. */
import * as Struct from "../../Struct.ts"

/**
 * How an ELF file of 32 bits begins.
 *
 * @category structures
 * @since 0.1.0
 */
export const elf32_hdr = Struct.make("elf32_hdr", {
  e_ident: Struct.bytes(16),
  e_type: Struct.u16,
  e_machine: Struct.u16,
  e_version: Struct.u32,
  e_entry: Struct.u32,
  e_phoff: Struct.u32,
  e_shoff: Struct.u32,
  e_flags: Struct.u32,
  e_ehsize: Struct.u16,
  e_phentsize: Struct.u16,
  e_phnum: Struct.u16,
  e_shentsize: Struct.u16,
  e_shnum: Struct.u16,
  e_shstrndx: Struct.u16
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface elf32_hdr extends Struct.Type<typeof elf32_hdr> {}

/**
 * How an ELF file of 64 bits begins.
 *
 * @category structures
 * @since 0.1.0
 */
export const elf64_hdr = Struct.make("elf64_hdr", {
  e_ident: Struct.bytes(16),
  e_type: Struct.u16,
  e_machine: Struct.u16,
  e_version: Struct.u32,
  e_entry: Struct.u64,
  e_phoff: Struct.u64,
  e_shoff: Struct.u64,
  e_flags: Struct.u32,
  e_ehsize: Struct.u16,
  e_phentsize: Struct.u16,
  e_phnum: Struct.u16,
  e_shentsize: Struct.u16,
  e_shnum: Struct.u16,
  e_shstrndx: Struct.u16
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface elf64_hdr extends Struct.Type<typeof elf64_hdr> {}

/**
 * A segment of an ELF file of 32 bits.
 *
 * @category structures
 * @since 0.1.0
 */
export const elf32_phdr = Struct.make("elf32_phdr", {
  p_type: Struct.u32,
  p_offset: Struct.u32,
  p_vaddr: Struct.u32,
  p_paddr: Struct.u32,
  p_filesz: Struct.u32,
  p_memsz: Struct.u32,
  p_flags: Struct.u32,
  p_align: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface elf32_phdr extends Struct.Type<typeof elf32_phdr> {}

/**
 * A segment of an ELF file of 64 bits.
 *
 * @category structures
 * @since 0.1.0
 */
export const elf64_phdr = Struct.make("elf64_phdr", {
  p_type: Struct.u32,
  p_flags: Struct.u32,
  p_offset: Struct.u64,
  p_vaddr: Struct.u64,
  p_paddr: Struct.u64,
  p_filesz: Struct.u64,
  p_memsz: Struct.u64,
  p_align: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface elf64_phdr extends Struct.Type<typeof elf64_phdr> {}

/**
 * What a kernel of the Linux/x86 boot protocol says of itself, from byte 0x1f1 of its image on, and is told by who loads
 * it.
 *
 * @category structures
 * @since 0.1.0
 */
export const setup_header = Struct.packed("setup_header", {
  setup_sects: Struct.u8,
  root_flags: Struct.u16,
  syssize: Struct.u32,
  ram_size: Struct.u16,
  vid_mode: Struct.u16,
  root_dev: Struct.u16,
  boot_flag: Struct.u16,
  jump: Struct.u16,
  header: Struct.u32,
  version: Struct.u16,
  realmode_swtch: Struct.u32,
  start_sys_seg: Struct.u16,
  kernel_version: Struct.u16,
  type_of_loader: Struct.u8,
  loadflags: Struct.u8,
  setup_move_size: Struct.u16,
  code32_start: Struct.u32,
  ramdisk_image: Struct.u32,
  ramdisk_size: Struct.u32,
  bootsect_kludge: Struct.u32,
  heap_end_ptr: Struct.u16,
  ext_loader_ver: Struct.u8,
  ext_loader_type: Struct.u8,
  cmd_line_ptr: Struct.u32,
  initrd_addr_max: Struct.u32,
  kernel_alignment: Struct.u32,
  relocatable_kernel: Struct.u8,
  min_alignment: Struct.u8,
  xloadflags: Struct.u16,
  cmdline_size: Struct.u32,
  hardware_subarch: Struct.u32,
  hardware_subarch_data: Struct.u64,
  payload_offset: Struct.u32,
  payload_length: Struct.u32,
  setup_data: Struct.u64,
  pref_address: Struct.u64,
  init_size: Struct.u32,
  handover_offset: Struct.u32,
  kernel_info_offset: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface setup_header extends Struct.Type<typeof setup_header> {}

/**
 * A range of addresses in the memory map that a kernel is given, and what it is: 1 for memory that it may use.
 *
 * @category structures
 * @since 0.1.0
 */
export const boot_e820_entry = Struct.packed("boot_e820_entry", {
  addr: Struct.u64,
  size: Struct.u64,
  type: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface boot_e820_entry extends Struct.Type<typeof boot_e820_entry> {}
