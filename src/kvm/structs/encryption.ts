/** Structures of guests whose memory is encrypted: AMD's SEV, SEV-ES and SEV-SNP, and Intel's TDX. */
import * as Struct from "../../Struct.ts"
import { KVM_SEV_SNP_FINISH_DATA_SIZE } from "../constants.ts"
import { kvm_cpuid2 } from "./cpuid.ts"

/**
 * Memory of the host that holds encrypted memory of a guest.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_enc_region = Struct.make("kvm_enc_region", {
  addr: Struct.pointer,
  size: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_enc_region extends Struct.Type<typeof kvm_enc_region> {}

/**
 * A command of SEV: `id` is one of `KVM_SEV_*`, `data` the address of its structure, `error` what the firmware says, and
 * `sev_fd` a descriptor of `/dev/sev`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_sev_cmd = Struct.make("kvm_sev_cmd", {
  id: Struct.u32,
  pad0: Struct.padding(4, 4),
  data: Struct.pointer,
  error: Struct.u32,
  sev_fd: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_sev_cmd extends Struct.Type<typeof kvm_sev_cmd> {}

/**
 * How a machine is prepared (`KVM_SEV_INIT2`). Since 6.10.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_sev_init = Struct.make("kvm_sev_init", {
  vmsa_features: Struct.u64,
  flags: Struct.u32,
  ghcb_version: Struct.u16,
  pad1: Struct.padding(2, 2),
  pad2: Struct.padding(32, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_sev_init extends Struct.Type<typeof kvm_sev_init> {}

/**
 * The beginning of a launch: `handle` is 0 for a new guest, and the answer.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_sev_launch_start = Struct.make("kvm_sev_launch_start", {
  handle: Struct.u32,
  policy: Struct.u32,
  dh_uaddr: Struct.pointer,
  dh_len: Struct.u32,
  pad0: Struct.padding(4, 4),
  session_uaddr: Struct.pointer,
  session_len: Struct.u32,
  pad1: Struct.padding(4, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_sev_launch_start extends Struct.Type<typeof kvm_sev_launch_start> {}

/**
 * Memory to be encrypted and measured: `len` and `uaddr` are multiples of 16.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_sev_launch_update_data = Struct.make("kvm_sev_launch_update_data", {
  uaddr: Struct.pointer,
  len: Struct.u32,
  pad0: Struct.padding(4, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_sev_launch_update_data extends Struct.Type<typeof kvm_sev_launch_update_data> {}

/**
 * A secret for a guest that has been measured.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_sev_launch_secret = Struct.make("kvm_sev_launch_secret", {
  hdr_uaddr: Struct.pointer,
  hdr_len: Struct.u32,
  pad0: Struct.padding(4, 4),
  guest_uaddr: Struct.pointer,
  guest_len: Struct.u32,
  pad1: Struct.padding(4, 4),
  trans_uaddr: Struct.pointer,
  trans_len: Struct.u32,
  pad2: Struct.padding(4, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_sev_launch_secret extends Struct.Type<typeof kvm_sev_launch_secret> {}

/**
 * Memory that leaves a guest, encrypted for its transport.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_sev_send_update_data = Struct.make("kvm_sev_send_update_data", {
  hdr_uaddr: Struct.pointer,
  hdr_len: Struct.u32,
  pad0: Struct.padding(4, 4),
  guest_uaddr: Struct.pointer,
  guest_len: Struct.u32,
  pad1: Struct.padding(4, 4),
  trans_uaddr: Struct.pointer,
  trans_len: Struct.u32,
  pad2: Struct.padding(4, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_sev_send_update_data extends Struct.Type<typeof kvm_sev_send_update_data> {}

/**
 * Memory that comes to a guest, encrypted for its transport.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_sev_receive_update_data = Struct.make("kvm_sev_receive_update_data", {
  hdr_uaddr: Struct.pointer,
  hdr_len: Struct.u32,
  pad0: Struct.padding(4, 4),
  guest_uaddr: Struct.pointer,
  guest_len: Struct.u32,
  pad1: Struct.padding(4, 4),
  trans_uaddr: Struct.pointer,
  trans_len: Struct.u32,
  pad2: Struct.padding(4, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_sev_receive_update_data extends Struct.Type<typeof kvm_sev_receive_update_data> {}

/**
 * Where the measurement of a launch goes; with a `len` of 0 the answer is how long it is.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_sev_launch_measure = Struct.make("kvm_sev_launch_measure", {
  uaddr: Struct.pointer,
  len: Struct.u32,
  pad0: Struct.padding(4, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_sev_launch_measure extends Struct.Type<typeof kvm_sev_launch_measure> {}

/**
 * What a guest is: its handle, policy and state.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_sev_guest_status = Struct.make("kvm_sev_guest_status", {
  handle: Struct.u32,
  policy: Struct.u32,
  state: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_sev_guest_status extends Struct.Type<typeof kvm_sev_guest_status> {}

/**
 * Memory to be decrypted or encrypted for debugging.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_sev_dbg = Struct.make("kvm_sev_dbg", {
  src_uaddr: Struct.pointer,
  dst_uaddr: Struct.pointer,
  len: Struct.u32,
  pad0: Struct.padding(4, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_sev_dbg extends Struct.Type<typeof kvm_sev_dbg> {}

/**
 * Where the report goes that attests a guest; with a `len` of 0 the answer is how long it is.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_sev_attestation_report = Struct.make("kvm_sev_attestation_report", {
  mnonce: Struct.bytes(16),
  uaddr: Struct.pointer,
  len: Struct.u32,
  pad0: Struct.padding(4, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_sev_attestation_report extends Struct.Type<typeof kvm_sev_attestation_report> {}

/**
 * The beginning of a guest's way out.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_sev_send_start = Struct.make("kvm_sev_send_start", {
  policy: Struct.u32,
  pad0: Struct.padding(4, 4),
  pdh_cert_uaddr: Struct.pointer,
  pdh_cert_len: Struct.u32,
  pad1: Struct.padding(4, 4),
  plat_certs_uaddr: Struct.pointer,
  plat_certs_len: Struct.u32,
  pad2: Struct.padding(4, 4),
  amd_certs_uaddr: Struct.pointer,
  amd_certs_len: Struct.u32,
  pad3: Struct.padding(4, 4),
  session_uaddr: Struct.pointer,
  session_len: Struct.u32,
  pad4: Struct.padding(4, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_sev_send_start extends Struct.Type<typeof kvm_sev_send_start> {}

/**
 * The beginning of a guest's way in.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_sev_receive_start = Struct.make("kvm_sev_receive_start", {
  handle: Struct.u32,
  policy: Struct.u32,
  pdh_uaddr: Struct.pointer,
  pdh_len: Struct.u32,
  pad0: Struct.padding(4, 4),
  session_uaddr: Struct.pointer,
  session_len: Struct.u32,
  pad1: Struct.padding(4, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_sev_receive_start extends Struct.Type<typeof kvm_sev_receive_start> {}

/**
 * The beginning of a launch of SEV-SNP. `gosvw` are the workarounds that the guest is told of. Since 6.11.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_sev_snp_launch_start = Struct.make("kvm_sev_snp_launch_start", {
  policy: Struct.u64,
  gosvw: Struct.bytes(16),
  flags: Struct.u16,
  pad0: Struct.padding(6),
  pad1: Struct.padding(32, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_sev_snp_launch_start extends Struct.Type<typeof kvm_sev_snp_launch_start> {}

/**
 * Memory of a guest of SEV-SNP to be measured: `type` is one of `KVM_SEV_SNP_PAGE_TYPE_*`. What has been done is taken off
 * `gfn_start`, `uaddr` and `len` where the kernel stops early. Since 6.11.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_sev_snp_launch_update = Struct.make("kvm_sev_snp_launch_update", {
  gfn_start: Struct.u64,
  uaddr: Struct.pointer,
  len: Struct.u64,
  type: Struct.u8,
  pad0: Struct.padding(1),
  flags: Struct.u16,
  pad1: Struct.padding(4, 4),
  pad2: Struct.padding(32, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_sev_snp_launch_update extends Struct.Type<typeof kvm_sev_snp_launch_update> {}

/**
 * The end of a launch of SEV-SNP. Since 6.11.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_sev_snp_launch_finish = Struct.make("kvm_sev_snp_launch_finish", {
  id_block_uaddr: Struct.pointer,
  id_auth_uaddr: Struct.pointer,
  id_block_en: Struct.u8,
  auth_key_en: Struct.u8,
  vcek_disabled: Struct.u8,
  host_data: Struct.bytes(KVM_SEV_SNP_FINISH_DATA_SIZE),
  pad0: Struct.padding(3),
  flags: Struct.u16,
  pad1: Struct.padding(32, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_sev_snp_launch_finish extends Struct.Type<typeof kvm_sev_snp_launch_finish> {}

/**
 * A command of TDX: `id` is one of `KVM_TDX_*`, `data` the address of its structure or a value, `hw_error` what the TDX
 * module says. Since 6.16.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_tdx_cmd = Struct.make("kvm_tdx_cmd", {
  id: Struct.u32,
  flags: Struct.u32,
  data: Struct.u64,
  hw_error: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_tdx_cmd extends Struct.Type<typeof kvm_tdx_cmd> {}

/**
 * What TDX supports here; `cpuid.nent` entries of `kvm_cpuid_entry2` follow. Since 6.16.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_tdx_capabilities = Struct.make("kvm_tdx_capabilities", {
  supported_attrs: Struct.u64,
  supported_xfam: Struct.u64,
  kernel_tdvmcallinfo_1_r11: Struct.u64,
  user_tdvmcallinfo_1_r11: Struct.u64,
  kernel_tdvmcallinfo_1_r12: Struct.u64,
  user_tdvmcallinfo_1_r12: Struct.u64,
  reserved: Struct.padding(2000, 8),
  cpuid: kvm_cpuid2
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_tdx_capabilities extends Struct.Type<typeof kvm_tdx_capabilities> {}

/**
 * How a machine of TDX is made; `cpuid.nent` entries of `kvm_cpuid_entry2` follow. Since 6.16.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_tdx_init_vm = Struct.make("kvm_tdx_init_vm", {
  attributes: Struct.u64,
  xfam: Struct.u64,
  mrconfigid: Struct.array(Struct.u64, 6),
  mrowner: Struct.array(Struct.u64, 6),
  mrownerconfig: Struct.array(Struct.u64, 6),
  reserved: Struct.padding(96, 8),
  cpuid: kvm_cpuid2
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_tdx_init_vm extends Struct.Type<typeof kvm_tdx_init_vm> {}

/**
 * Pages to be copied into the memory of a guest of TDX. Since 6.16.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_tdx_init_mem_region = Struct.make("kvm_tdx_init_mem_region", {
  source_addr: Struct.pointer,
  gpa: Struct.u64,
  nr_pages: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_tdx_init_mem_region extends Struct.Type<typeof kvm_tdx_init_mem_region> {}
