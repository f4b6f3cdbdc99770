/**
 * `/dev/kvm` itself: the service that everything of KVM starts from, and what can be asked of it.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { IoctlError, OpenatError } from "../errors/calls.ts"
import * as File from "../File.ts"
import { KVM_API_VERSION } from "./constants.ts"
import { KVM_CHECK_EXTENSION, KVM_GET_API_VERSION, KVM_GET_VCPU_MMAP_SIZE, KvmSystem } from "./requests.ts"

/**
 * The kernel's KVM subsystem.
 *
 * @category services
 * @since 0.1.0
 */
export class Kvm extends Context.Service<
  Kvm,
  {
    /** `/dev/kvm`, for requests that have no function here. */
    readonly file: File.File<KvmSystem>
    /** The size of the page that a vCPU shares with its host, in bytes. */
    readonly vcpuMmapSize: number
  }
>()("effect-linux/Kvm") {}

/**
 * The kernel speaks another version of the KVM API than 12, the only one there has been since Linux 2.6.22.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnsupportedApiVersion extends Data.TaggedError("UnsupportedApiVersion")<{ readonly version: number }> {
  override get message(): string {
    return `KVM API version ${this.version} is not ${KVM_API_VERSION}`
  }
}

/**
 * Opens `/dev/kvm` for as long as the layer lives.
 *
 * Fails with `ENOENT` where this kernel has no KVM, with `EACCES` where this user may not use it, and with
 * `UnsupportedApiVersion` unless the version is 12.
 *
 * @category services
 * @since 0.1.0
 */
export const layer: Layer.Layer<Kvm, OpenatError | IoctlError | UnsupportedApiVersion> = Layer.effect(
  Kvm,
  Effect.gen(function* () {
    const file = File.asDevice(yield* File.open("/dev/kvm", { access: "readWrite" }), KvmSystem)
    const version = yield* File.ioctl(file, KVM_GET_API_VERSION)
    if (version !== KVM_API_VERSION) return yield* new UnsupportedApiVersion({ version })
    return Kvm.of({ file, vcpuMmapSize: yield* File.ioctl(file, KVM_GET_VCPU_MMAP_SIZE) })
  })
)

/**
 * The version of the KVM API: 12.
 *
 * Request `KVM_GET_API_VERSION`.
 *
 * @category system
 * @since 0.1.0
 */
export const getApiVersion: Effect.Effect<number, IoctlError, Kvm> = Effect.flatMap(Kvm, ({ file }) =>
  File.ioctl(file, KVM_GET_API_VERSION)
)

/**
 * The size of the page that a vCPU shares with its host, in bytes.
 *
 * Request `KVM_GET_VCPU_MMAP_SIZE`.
 *
 * @category system
 * @since 0.1.0
 */
export const getVcpuMmapSize: Effect.Effect<number, IoctlError, Kvm> = Effect.flatMap(Kvm, ({ file }) =>
  File.ioctl(file, KVM_GET_VCPU_MMAP_SIZE)
)

/** `KVM_CHECK_EXTENSION` asked of the system; `Kvm.checkExtension` asks either the system or a machine. */
export const checkSystemExtension = (capability: number): Effect.Effect<number, IoctlError, Kvm> =>
  Effect.flatMap(Kvm, ({ file }) => File.ioctl(file, KVM_CHECK_EXTENSION, capability))
