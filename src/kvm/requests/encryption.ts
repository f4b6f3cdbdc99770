/** Requests of guests whose memory is encrypted. */
import { errorsOf } from "../../errors/registry.ts"
import * as Ioctl from "../../Ioctl.ts"
import * as Struct from "../../Struct.ts"
import { KVMIO } from "../constants.ts"
import { kvm_enc_region } from "../structs/encryption.ts"
import { KvmVcpu, KvmVm } from "./devices.ts"

const commandErrors = errorsOf("ioctl", [
  "E2BIG",
  "EACCES",
  "EAGAIN",
  "EBADF",
  "EBUSY",
  "EFAULT",
  "EINTR",
  "EINVAL",
  "EIO",
  "ENODEV",
  "ENOMEM",
  "ENOTTY",
  "EOPNOTSUPP",
  "EPERM"
])

// The number says `unsigned long`, and means a structure of the architecture's: the argument is its memory, which keeps
// what the firmware says, also where the request fails.
const commandCode = Ioctl._IOWR(KVMIO, 0xba, Struct.u64)
const commandOptions = {
  name: "KVM_MEMORY_ENCRYPT_OP",
  errors: commandErrors,
  waits: true,
  encode: (command: Uint8Array) => command,
  decode: (result: number) => result
}

/**
 * Takes the memory of a `kvm_sev_cmd` or `kvm_tdx_cmd`, into which the kernel writes its answer.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_MEMORY_ENCRYPT_OP = Ioctl.make(KvmVm, commandCode, commandOptions)

/**
 * {@link KVM_MEMORY_ENCRYPT_OP} asked of a vCPU: some commands of TDX are. Since 6.16.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_MEMORY_ENCRYPT_OP_VCPU = Ioctl.make(KvmVcpu, commandCode, commandOptions)

const regionErrors = errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "ENOMEM", "ENOTTY"])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_MEMORY_ENCRYPT_REG_REGION = Ioctl.write(
  KvmVm,
  Ioctl._IOR(KVMIO, 0xbb, kvm_enc_region),
  kvm_enc_region,
  { name: "KVM_MEMORY_ENCRYPT_REG_REGION", errors: regionErrors, waits: true }
)

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_MEMORY_ENCRYPT_UNREG_REGION = Ioctl.write(
  KvmVm,
  Ioctl._IOR(KVMIO, 0xbc, kvm_enc_region),
  kvm_enc_region,
  { name: "KVM_MEMORY_ENCRYPT_UNREG_REGION", errors: regionErrors, waits: true }
)
