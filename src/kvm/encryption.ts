/**
 * Guests whose memory is encrypted, by AMD's SEV or Intel's TDX: the commands of both, typed by what they take and give,
 * and the regions of memory that they use. What they mean, and in which order they are given, is in the kernel's
 * Documentation/virt/kvm/x86/amd-memory-encryption.rst and intel-tdx.rst.
 *
 * A command that carries addresses of the host leaves to its caller that the memory stays where it is. The firmware may
 * take its time: commands are given off the event loop.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { codes } from "../errors/errnos.ts"
import * as File from "../File.ts"
import type * as Ioctl from "../Ioctl.ts"
import { misuseOf } from "../internal/invoke.ts"
import { keep } from "../ioctl/request.ts"
import * as Struct from "../Struct.ts"
import * as Syscall from "../Syscall.ts"
import * as constants from "./constants.ts"
import {
  KVM_MEMORY_ENCRYPT_OP,
  KVM_MEMORY_ENCRYPT_OP_VCPU,
  KVM_MEMORY_ENCRYPT_REG_REGION,
  KVM_MEMORY_ENCRYPT_UNREG_REGION
} from "./requests/encryption.ts"
import { kvm_cpuid_entry2, kvm_cpuid2 } from "./structs/cpuid.ts"
import * as structs from "./structs/encryption.ts"
import { refuse, type Vcpu } from "./vcpu.ts"
import { asking } from "./vcpu-request.ts"
import type { Vm } from "./vm.ts"

/**
 * A command of SEV's or TDX's failed in the firmware: `code` is what that said (`SEV_RET_*` of linux/psp-sev.h, or the
 * status of the TDX module), `cause` the errno that the kernel made of it.
 *
 * @category errors
 * @since 0.1.0
 */
export class FirmwareError extends Data.TaggedError("FirmwareError")<{
  readonly command: string
  readonly code: bigint
  readonly cause: Ioctl.RequestError<typeof KVM_MEMORY_ENCRYPT_OP>
}> {
  override get message(): string {
    return `${this.command}: the firmware failed with 0x${this.code.toString(16)} (${this.cause._tag})`
  }
}

/**
 * What a command fails with: `ENOTTY` where the machine is of no such kind.
 *
 * @category errors
 * @since 0.1.0
 */
export type EncryptError = FirmwareError | Ioctl.RequestError<typeof KVM_MEMORY_ENCRYPT_OP>

/**
 * A command: what it takes (`I`) and gives (`A`).
 *
 * @category models
 * @since 0.1.0
 */
export interface EncryptCommand<in I, out A> {
  readonly name: string
  /** One of `KVM_SEV_*` or `KVM_TDX_*`. */
  readonly id: number
  /** The memory that it is given. */
  readonly encode: (input: I) => Uint8Array
  /** What it has made of that memory. */
  readonly decode: (memory: Uint8Array) => A
}

const none = (name: string, id: number): EncryptCommand<void, void> => ({
  name,
  id,
  encode: () => new Uint8Array(0),
  decode: () => undefined
})

const taking = <I>(name: string, id: number, layout: Struct.Layout<unknown, I>): EncryptCommand<I, void> => ({
  ...exchanging(name, id, layout),
  decode: () => undefined
})

const viewOf = (memory: Uint8Array): DataView => new DataView(memory.buffer, memory.byteOffset, memory.byteLength)

const exchanging = <A, I>(name: string, id: number, layout: Struct.Layout<A, I>): EncryptCommand<I, A> => ({
  name,
  id,
  encode: (input) => {
    const memory = new Uint8Array(layout.size)
    layout.set(viewOf(memory), 0, input, name)
    return memory
  },
  decode: (memory) => layout.get(viewOf(memory), 0)
})

const giving = <A>(name: string, id: number, layout: Struct.Layout<A, never>): EncryptCommand<void, A> => ({
  name,
  id,
  encode: () => new Uint8Array(layout.size),
  decode: (memory) => layout.get(viewOf(memory), 0)
})

/**
 * The commands of SEV, SEV-ES and SEV-SNP, for {@link encryptOpSev}.
 *
 * @category commands
 * @since 0.1.0
 */
export const sev = {
  init: none("KVM_SEV_INIT", constants.KVM_SEV_INIT),
  esInit: none("KVM_SEV_ES_INIT", constants.KVM_SEV_ES_INIT),
  init2: taking("KVM_SEV_INIT2", constants.KVM_SEV_INIT2, structs.kvm_sev_init),
  launchStart: exchanging("KVM_SEV_LAUNCH_START", constants.KVM_SEV_LAUNCH_START, structs.kvm_sev_launch_start),
  launchUpdateData: taking(
    "KVM_SEV_LAUNCH_UPDATE_DATA",
    constants.KVM_SEV_LAUNCH_UPDATE_DATA,
    structs.kvm_sev_launch_update_data
  ),
  launchUpdateVmsa: none("KVM_SEV_LAUNCH_UPDATE_VMSA", constants.KVM_SEV_LAUNCH_UPDATE_VMSA),
  launchSecret: taking("KVM_SEV_LAUNCH_SECRET", constants.KVM_SEV_LAUNCH_SECRET, structs.kvm_sev_launch_secret),
  launchMeasure: exchanging("KVM_SEV_LAUNCH_MEASURE", constants.KVM_SEV_LAUNCH_MEASURE, structs.kvm_sev_launch_measure),
  launchFinish: none("KVM_SEV_LAUNCH_FINISH", constants.KVM_SEV_LAUNCH_FINISH),
  sendStart: exchanging("KVM_SEV_SEND_START", constants.KVM_SEV_SEND_START, structs.kvm_sev_send_start),
  sendUpdateData: exchanging(
    "KVM_SEV_SEND_UPDATE_DATA",
    constants.KVM_SEV_SEND_UPDATE_DATA,
    structs.kvm_sev_send_update_data
  ),
  sendFinish: none("KVM_SEV_SEND_FINISH", constants.KVM_SEV_SEND_FINISH),
  sendCancel: none("KVM_SEV_SEND_CANCEL", constants.KVM_SEV_SEND_CANCEL),
  receiveStart: exchanging("KVM_SEV_RECEIVE_START", constants.KVM_SEV_RECEIVE_START, structs.kvm_sev_receive_start),
  receiveUpdateData: taking(
    "KVM_SEV_RECEIVE_UPDATE_DATA",
    constants.KVM_SEV_RECEIVE_UPDATE_DATA,
    structs.kvm_sev_receive_update_data
  ),
  receiveFinish: none("KVM_SEV_RECEIVE_FINISH", constants.KVM_SEV_RECEIVE_FINISH),
  guestStatus: giving("KVM_SEV_GUEST_STATUS", constants.KVM_SEV_GUEST_STATUS, structs.kvm_sev_guest_status),
  dbgDecrypt: taking("KVM_SEV_DBG_DECRYPT", constants.KVM_SEV_DBG_DECRYPT, structs.kvm_sev_dbg),
  dbgEncrypt: taking("KVM_SEV_DBG_ENCRYPT", constants.KVM_SEV_DBG_ENCRYPT, structs.kvm_sev_dbg),
  getAttestationReport: exchanging(
    "KVM_SEV_GET_ATTESTATION_REPORT",
    constants.KVM_SEV_GET_ATTESTATION_REPORT,
    structs.kvm_sev_attestation_report
  ),
  snpLaunchStart: taking(
    "KVM_SEV_SNP_LAUNCH_START",
    constants.KVM_SEV_SNP_LAUNCH_START,
    structs.kvm_sev_snp_launch_start
  ),
  snpLaunchUpdate: exchanging(
    "KVM_SEV_SNP_LAUNCH_UPDATE",
    constants.KVM_SEV_SNP_LAUNCH_UPDATE,
    structs.kvm_sev_snp_launch_update
  ),
  snpLaunchFinish: taking(
    "KVM_SEV_SNP_LAUNCH_FINISH",
    constants.KVM_SEV_SNP_LAUNCH_FINISH,
    structs.kvm_sev_snp_launch_finish
  )
} as const

// ---------------------------------------------------------------------------------------------------------------------
// TDX
// ---------------------------------------------------------------------------------------------------------------------

/** What `KVM_MAX_CPUID_ENTRIES` is in the kernel: no list is longer. */
const mostEntries = 256

const cpuidRoom = mostEntries * kvm_cpuid_entry2.size

const entriesOf = (memory: Uint8Array, headAt: number): ReadonlyArray<kvm_cpuid_entry2> => {
  const { nent } = kvm_cpuid2.decode(memory, headAt)
  const first = headAt + kvm_cpuid2.size
  return Array.from({ length: Math.min(nent, mostEntries) }, (_, index) =>
    kvm_cpuid_entry2.decode(memory, first + index * kvm_cpuid_entry2.size)
  )
}

const putEntries = (memory: Uint8Array, headAt: number, entries: ReadonlyArray<kvm_cpuid_entry2>): void => {
  kvm_cpuid2.encode({ nent: entries.length }, memory, headAt)
  for (const [index, entry] of entries.entries()) {
    kvm_cpuid_entry2.encode(entry, memory, headAt + kvm_cpuid2.size + index * kvm_cpuid_entry2.size)
  }
}

/**
 * What TDX supports here: see {@link kvm_tdx_capabilities}. `entries` are the bits of `cpuid` that can be configured.
 *
 * @category models
 * @since 0.1.0
 */
export interface TdxCapabilities extends Omit<structs.kvm_tdx_capabilities, "cpuid"> {
  readonly entries: ReadonlyArray<kvm_cpuid_entry2>
}

/**
 * How a machine of TDX is made: see {@link kvm_tdx_init_vm}. `entries` are what `cpuid` answers.
 *
 * @category models
 * @since 0.1.0
 */
export interface TdxInitVm extends Omit<structs.kvm_tdx_init_vm, "cpuid"> {
  readonly entries: ReadonlyArray<kvm_cpuid_entry2>
}

const capabilities: EncryptCommand<void, TdxCapabilities> = {
  name: "KVM_TDX_CAPABILITIES",
  id: constants.KVM_TDX_CAPABILITIES,
  encode: () => {
    const { fields, size } = structs.kvm_tdx_capabilities
    const memory = new Uint8Array(size + cpuidRoom)
    kvm_cpuid2.encode({ nent: mostEntries }, memory, fields.cpuid.offset)
    return memory
  },
  decode: (memory) => {
    const { cpuid: _, ...rest } = structs.kvm_tdx_capabilities.decode(memory)
    return { ...rest, entries: entriesOf(memory, structs.kvm_tdx_capabilities.fields.cpuid.offset) }
  }
}

const initVm: EncryptCommand<TdxInitVm, void> = {
  name: "KVM_TDX_INIT_VM",
  id: constants.KVM_TDX_INIT_VM,
  encode: ({ entries, ...rest }) => {
    const { fields, size } = structs.kvm_tdx_init_vm
    const memory = new Uint8Array(size + entries.length * kvm_cpuid_entry2.size)
    structs.kvm_tdx_init_vm.encode({ ...rest, cpuid: { nent: entries.length } }, memory)
    putEntries(memory, fields.cpuid.offset, entries)
    return memory
  },
  decode: () => undefined
}

const getCpuid: EncryptCommand<void, ReadonlyArray<kvm_cpuid_entry2>> = {
  name: "KVM_TDX_GET_CPUID",
  id: constants.KVM_TDX_GET_CPUID,
  encode: () => kvm_cpuid2.encode({ nent: mostEntries }, new Uint8Array(kvm_cpuid2.size + cpuidRoom)),
  decode: (memory) => entriesOf(memory, 0)
}

/**
 * The commands of TDX, for {@link encryptOpTdx}: those of a machine. Since 6.16.
 *
 * @category commands
 * @since 0.1.0
 */
export const tdxVm = {
  capabilities,
  initVm,
  finalizeVm: none("KVM_TDX_FINALIZE_VM", constants.KVM_TDX_FINALIZE_VM)
} as const

/**
 * The commands of TDX, for {@link encryptOpTdxVcpu}: those of a vCPU. Since 6.16. What `initVcpu` takes is the first value
 * of the guest's `rcx`; `initMemRegion` with the flag `KVM_TDX_MEASURE_MEMORY_REGION` measures the pages, too.
 *
 * @category commands
 * @since 0.1.0
 */
export const tdxVcpu = {
  initVcpu: taking("KVM_TDX_INIT_VCPU", constants.KVM_TDX_INIT_VCPU, Struct.u64),
  initMemRegion: exchanging(
    "KVM_TDX_INIT_MEM_REGION",
    constants.KVM_TDX_INIT_MEM_REGION,
    structs.kvm_tdx_init_mem_region
  ),
  getCpuid
} as const

// ---------------------------------------------------------------------------------------------------------------------
// giving commands
// ---------------------------------------------------------------------------------------------------------------------

type RequestFailure = Ioctl.RequestError<typeof KVM_MEMORY_ENCRYPT_OP>

/** Encodes what a command takes, gives the command, and reads what it has given. */
const give = <I, A>(
  { decode, encode, name }: EncryptCommand<I, A>,
  input: I,
  commandOf: (data: Uint8Array) => Uint8Array,
  request: (command: Uint8Array) => Effect.Effect<number, RequestFailure>,
  firmwareCode: (command: Uint8Array) => bigint
): Effect.Effect<A, EncryptError> =>
  Effect.suspend((): Effect.Effect<A, EncryptError> => {
    let data: Uint8Array
    let command: Uint8Array
    try {
      data = encode(input)
      // What the command points to must outlive it, also where nobody waits for it any more.
      command = keep(commandOf(data), data)
    } catch (thrown) {
      const { code, detail } = misuseOf(thrown)
      return refuse(KVM_MEMORY_ENCRYPT_OP.errors, code, `${name}: ${detail}`)
    }
    return Effect.matchEffect(request(command), {
      onFailure: (cause): Effect.Effect<A, EncryptError> => {
        const code = firmwareCode(command)
        return Effect.fail(code === 0n ? cause : new FirmwareError({ command: name, code, cause }))
      },
      onSuccess: () => Effect.succeed(decode(data))
    })
  })

const addressOf = (data: Uint8Array): bigint => (data.length === 0 ? 0n : Syscall.addressOf(data))

/**
 * Gives a command of SEV's to a machine. `device` is `/dev/sev`, opened for reading and writing.
 *
 * Request `KVM_MEMORY_ENCRYPT_OP`, since 4.16.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File, Kvm } from "effect-linux"
 *
 * const handleOf = (vm: Kvm.Vm) =>
 *   Effect.gen(function* () {
 *     const device = yield* File.open("/dev/sev", { access: "readWrite" })
 *     yield* Kvm.encryptOpSev(vm, device, Kvm.sev.init, undefined)
 *     const started = yield* Kvm.encryptOpSev(vm, device, Kvm.sev.launchStart, {
 *       handle: 0,
 *       policy: 1,
 *       dh_uaddr: 0n,
 *       dh_len: 0,
 *       session_uaddr: 0n,
 *       session_len: 0
 *     })
 *     return started.handle
 *   }).pipe(Effect.scoped)
 * ```
 *
 * @category encryption
 * @since 0.1.0
 */
export const encryptOpSev = <I, A>(
  vm: Vm,
  device: File.File<unknown>,
  command: EncryptCommand<I, A>,
  input: I
): Effect.Effect<A, EncryptError> =>
  Effect.flatMap(
    Effect.mapError(File.fd(device), () =>
      KVM_MEMORY_ENCRYPT_OP.errors.make(codes.EBADF, undefined, undefined, `${command.name}: the device is closed`)
    ),
    (fd) =>
      give(
        command,
        input,
        (data) => structs.kvm_sev_cmd.encode({ id: command.id, data: addressOf(data), error: 0, sev_fd: fd }),
        (memory) => File.ioctl(vm.file, KVM_MEMORY_ENCRYPT_OP, memory),
        (memory) => BigInt(structs.kvm_sev_cmd.decode(memory).error)
      )
  )

const tdxCommand =
  ({ id }: { readonly id: number }, flags: number) =>
  (data: Uint8Array): Uint8Array =>
    structs.kvm_tdx_cmd.encode({ id, flags, data: addressOf(data), hw_error: 0n })

const tdxCode = (memory: Uint8Array): bigint => structs.kvm_tdx_cmd.decode(memory).hw_error

/**
 * Gives a command of TDX's to a machine: one of {@link tdxVm}.
 *
 * Request `KVM_MEMORY_ENCRYPT_OP`, since 6.16.
 *
 * @category encryption
 * @since 0.1.0
 */
export const encryptOpTdx = <I, A>(
  vm: Vm,
  command: EncryptCommand<I, A>,
  input: I,
  flags = 0
): Effect.Effect<A, EncryptError> =>
  give(
    command,
    input,
    tdxCommand(command, flags),
    (memory) => File.ioctl(vm.file, KVM_MEMORY_ENCRYPT_OP, memory),
    tdxCode
  )

const askVcpu = asking(KVM_MEMORY_ENCRYPT_OP_VCPU)

/**
 * Gives a command of TDX's to a vCPU: one of {@link tdxVcpu}.
 *
 * Request `KVM_MEMORY_ENCRYPT_OP`, since 6.16.
 *
 * @category encryption
 * @since 0.1.0
 */
export const encryptOpTdxVcpu = <I, A>(
  vcpu: Vcpu,
  command: EncryptCommand<I, A>,
  input: I,
  flags = 0
): Effect.Effect<A, EncryptError> =>
  give(
    command,
    input,
    // The one command whose data is a value.
    command.id === constants.KVM_TDX_INIT_VCPU
      ? (data) =>
          structs.kvm_tdx_cmd.encode({ id: command.id, flags, data: Struct.u64.get(viewOf(data), 0), hw_error: 0n })
      : tdxCommand(command, flags),
    (memory) => askVcpu(vcpu, memory),
    tdxCode
  )

/**
 * What registering memory fails with: `ENOTTY` where the machine is of no such kind.
 *
 * @category errors
 * @since 0.1.0
 */
export type EncRegionError = Ioctl.RequestError<typeof KVM_MEMORY_ENCRYPT_REG_REGION>

/**
 * Pins memory of the host that may hold encrypted memory of a guest, so that it stays where it is.
 *
 * Request `KVM_MEMORY_ENCRYPT_REG_REGION`, since 4.16.
 *
 * @category encryption
 * @since 0.1.0
 */
export const registerEncMemoryRegion = (vm: Vm, region: structs.kvm_enc_region): Effect.Effect<void, EncRegionError> =>
  Effect.asVoid(File.ioctl(vm.file, KVM_MEMORY_ENCRYPT_REG_REGION, region))

/**
 * Takes back what {@link registerEncMemoryRegion} did for a region.
 *
 * Request `KVM_MEMORY_ENCRYPT_UNREG_REGION`, since 4.16.
 *
 * @category encryption
 * @since 0.1.0
 */
export const unregisterEncMemoryRegion = (
  vm: Vm,
  region: structs.kvm_enc_region
): Effect.Effect<void, EncRegionError> => Effect.asVoid(File.ioctl(vm.file, KVM_MEMORY_ENCRYPT_UNREG_REGION, region))
