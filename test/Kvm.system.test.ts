/** `/dev/kvm` and what can be asked of it; which requests compile for which file. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope } from "effect"
import { expectTypeOf } from "vitest"
import { Errno, Fcntl, File, Kvm, Syscall } from "../src/index.ts"
import { expectErrno, itKvm } from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"
import { openFds } from "./support/process.ts"

/** The layer on a kernel that answers some calls as the test says. */
const layerOn = (
  decide: (nr: number, args: ReadonlyArray<Syscall.Argument>) => Syscall.Result | undefined,
  onCall: (call: Syscall.Call) => void = () => {}
) =>
  Kvm.layer.pipe(
    Layer.provide(
      Layer.succeed(
        Syscall.Trampoline,
        Syscall.record(
          Syscall.intercept(Syscall.kernel, (nr, args, proceed) => decide(nr, args) ?? proceed()),
          onCall
        )
      )
    )
  )

const isRequest = (nr: number, args: ReadonlyArray<Syscall.Argument>, request: { readonly code: number }) =>
  nr === Syscall.nr.ioctl && args[1] === request.code

describe("Kvm.layer without KVM", () => {
  for (const code of ["ENOENT", "EACCES"] as const) {
    it.live(`fails with ${code}, naming /dev/kvm`, () =>
      Effect.gen(function* () {
        const build = Layer.build(layerOn((nr) => (nr === Syscall.nr.openat ? -Errno.codes[code] : undefined)))
        const error = yield* expectErrno(Effect.scoped(build), code)
        assert.strictEqual(error.path, "/dev/kvm")
        assert.match(error.message, new RegExp(`^openat\\("/dev/kvm"\\): ${code}, `))
      })
    )
  }

  it.live("fails with EACCES by its tag", () =>
    Effect.gen(function* () {
      const build = Layer.build(layerOn((nr) => (nr === Syscall.nr.openat ? -Errno.codes.EACCES : undefined)))
      const answer = yield* Effect.scoped(build).pipe(
        Effect.as("opened"),
        Effect.catchTags({
          EACCES: () => Effect.succeed("no permission"),
          UnsupportedApiVersion: () => Effect.succeed("version")
        })
      )
      assert.strictEqual(answer, "no permission")
    })
  )
})

describeKvm("Kvm.layer", () => {
  itKvm(
    "opens the KVM API of version 12",
    Effect.gen(function* () {
      assert.strictEqual(yield* Kvm.getApiVersion, 12)
    })
  )

  it.live("fails with UnsupportedApiVersion unless the version is 12, and leaves no file open", () =>
    Effect.gen(function* () {
      const before = yield* openFds
      const build = Layer.build(layerOn((nr, args) => (isRequest(nr, args, Kvm.KVM_GET_API_VERSION) ? 11 : undefined)))
      const error = yield* Effect.flip(Effect.scoped(build))
      assert.instanceOf(error, Kvm.UnsupportedApiVersion)
      assert.strictEqual(error._tag, "UnsupportedApiVersion")
      if (error._tag === "UnsupportedApiVersion") assert.strictEqual(error.version, 11)
      assert.strictEqual(error.message, "KVM API version 11 is not 12")
      assert.strictEqual(yield* openFds, before)
    })
  )

  it.live("fails with the errno of the request that failed, and leaves no file open", () =>
    Effect.gen(function* () {
      const before = yield* openFds
      const build = Layer.build(
        layerOn((nr, args) => (isRequest(nr, args, Kvm.KVM_GET_VCPU_MMAP_SIZE) ? -Errno.codes.ENOTTY : undefined))
      )
      const error = yield* expectErrno(Effect.scoped(build), "ENOTTY")
      assert.include(error.message, "KVM_GET_VCPU_MMAP_SIZE")
      assert.strictEqual(yield* openFds, before)
    })
  )

  it.live("closes /dev/kvm with its scope, once; after that it answers EBADF without asking the kernel", () =>
    Effect.gen(function* () {
      const calls: Array<Syscall.Call> = []
      const before = yield* openFds
      const scope = yield* Scope.make()
      const layer = layerOn(
        () => undefined,
        (call) => calls.push(call)
      )
      const context = yield* Layer.build(layer).pipe(Scope.provide(scope))
      assert.strictEqual(yield* openFds, before + 1)
      const opened = calls.find((call) => call.name === "openat")?.result
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* openFds, before)
      assert.deepStrictEqual(
        calls.filter((call) => call.name === "close").map((call) => call.args),
        [[Number(opened)]]
      )

      const asked: Array<Syscall.Call> = []
      yield* expectErrno(
        Effect.provide(Kvm.getApiVersion, context).pipe(
          Effect.provideService(
            Syscall.Trampoline,
            Syscall.record(Syscall.kernel, (call) => asked.push(call))
          )
        ),
        "EBADF"
      )
      assert.deepStrictEqual(asked, [])
    })
  )

  itKvm(
    "opens the device with close-on-exec, so that children do not inherit it",
    Effect.gen(function* () {
      const { file } = yield* Kvm.Kvm
      assert.strictEqual((yield* File.fcntl(file, Fcntl.F_GETFD)) & Syscall.FD_CLOEXEC, Syscall.FD_CLOEXEC)
    })
  )
})

describeKvm("Kvm questions", () => {
  itKvm(
    "the run page is at least a page and a whole number of them",
    Effect.gen(function* () {
      const size = yield* Kvm.getVcpuMmapSize
      assert.isAtLeast(size, 4096)
      assert.strictEqual(size % 4096, 0)
      assert.strictEqual((yield* Kvm.Kvm).vcpuMmapSize, size)
    })
  )

  itKvm(
    "the system knows capabilities and says 0 to what is none",
    Effect.gen(function* () {
      assert.isAbove(yield* Kvm.checkExtension(Kvm.KVM_CAP_USER_MEMORY), 0)
      assert.isAbove(yield* Kvm.checkExtension(Kvm.KVM_CAP_NR_MEMSLOTS), 1)
      assert.strictEqual(yield* Kvm.checkExtension(0x7fff_0000), 0)
    })
  )

  itKvm(
    "a machine is asked on its own descriptor",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const vmFd = yield* File.fd(vm.file)
      const asked: Array<unknown> = []
      const answer = yield* Kvm.checkExtension(vm, Kvm.KVM_CAP_NR_MEMSLOTS).pipe(
        Effect.provideService(
          Syscall.Trampoline,
          Syscall.record(Syscall.kernel, ({ args }) => asked.push(args[0]))
        )
      )
      assert.isAbove(answer, 1)
      assert.deepStrictEqual(asked, [vmFd])
      assert.strictEqual(yield* Kvm.checkExtension(vm, 0x7fff_0000), 0)
    })
  )

  itKvm(
    "a kind of machine that does not exist is EINVAL",
    Effect.gen(function* () {
      const before = yield* openFds
      const error = yield* expectErrno(Effect.scoped(Kvm.createVm({ type: 0x7fff })), "EINVAL")
      assert.include(error.message, "KVM_CREATE_VM")
      assert.strictEqual(yield* openFds, before)
    })
  )
})

describe("Kvm types", () => {
  /** Never called: whether it compiles is the test, which `npm run check` runs. */
  const compiles = (system: File.File<Kvm.KvmSystem>, vm: Kvm.Vm, vcpu: Kvm.Vcpu, any: File.File) => [
    File.ioctl(system, Kvm.KVM_GET_API_VERSION),
    File.ioctl(vm.file, Kvm.KVM_CHECK_EXTENSION_VM, 1),
    File.ioctl(vcpu.file, Kvm.KVM_RUN),
    // @ts-expect-error a machine is not the system
    File.ioctl(vm.file, Kvm.KVM_GET_API_VERSION),
    // @ts-expect-error a vCPU is not a machine
    File.ioctl(vcpu.file, Kvm.KVM_CREATE_VCPU, 0),
    // @ts-expect-error a machine is not a vCPU
    File.ioctl(vm.file, Kvm.KVM_RUN),
    // @ts-expect-error the system is not a vCPU
    File.ioctl(system, Kvm.KVM_GET_REGS),
    // @ts-expect-error a file of which nothing is known is none of them
    File.ioctl(any, Kvm.KVM_GET_API_VERSION),
    // @ts-expect-error a request with an argument demands it
    File.ioctl(system, Kvm.KVM_CREATE_VM),
    // @ts-expect-error a request without an argument takes none
    File.ioctl(vcpu.file, Kvm.KVM_RUN, 1),
    // @ts-expect-error registers of 64 bits are bigints
    File.ioctl(vcpu.file, Kvm.KVM_SET_ONE_REG, { id: 1, addr: 0n }),
    // @ts-expect-error a file is not a machine
    Kvm.createVcpu(vm.file, 0),
    // @ts-expect-error a vCPU is not a machine
    Kvm.addMemory(vcpu, { slot: 0, guestAddress: 0, size: 0x1000 }),
    // @ts-expect-error a machine is not a vCPU
    Kvm.run(vm)
  ]

  it("requests compile only for the file that understands them", () => {
    assert.isFunction(compiles)
  })

  it("a machine needs the service and a scope, a vCPU only the scope; asking needs neither", () => {
    expectTypeOf<Effect.Services<ReturnType<typeof Kvm.createVm>>>().toEqualTypeOf<Kvm.Kvm | Scope.Scope>()
    expectTypeOf<Effect.Services<ReturnType<typeof Kvm.createVcpu>>>().toEqualTypeOf<Scope.Scope>()
    expectTypeOf<Effect.Services<ReturnType<typeof Kvm.run>>>().toEqualTypeOf<never>()
    expectTypeOf<Effect.Success<ReturnType<typeof Kvm.run>>>().toEqualTypeOf<Kvm.Exit>()
  })

  it("errors that cannot be told apart do not hide: the layer's are a union of tags", () => {
    expectTypeOf<Layer.Error<typeof Kvm.layer>>().extract<{ _tag: "ENOENT" }>().toEqualTypeOf<Errno.ENOENT>()
    expectTypeOf<Layer.Error<typeof Kvm.layer>>().extract<{ _tag: "EACCES" }>().toEqualTypeOf<Errno.EACCES>()
    expectTypeOf<Kvm.UnsupportedApiVersion>().toExtend<Layer.Error<typeof Kvm.layer>>()
    expectTypeOf<Errno.EBUSY>().toExtend<Kvm.RunError>()
    expectTypeOf<Errno.EEXIST>().toExtend<Kvm.CreateVcpuError>()
    expectTypeOf<Errno.EEXIST>().toExtend<Kvm.MemoryRegionError>()
  })

  it("only exits that wait for an answer carry respond", () => {
    type Out = Extract<Kvm.Io, { readonly direction: "out" }>
    type Write = Extract<Kvm.Mmio, { readonly isWrite: true }>
    expectTypeOf<Extract<Kvm.Io, { readonly direction: "in" }>["respond"]>().toEqualTypeOf<Kvm.Respond>()
    expectTypeOf<Extract<Kvm.Mmio, { readonly isWrite: false }>["respond"]>().toEqualTypeOf<Kvm.Respond>()
    expectTypeOf<"respond" extends keyof Out ? true : false>().toEqualTypeOf<false>()
    expectTypeOf<"respond" extends keyof Write ? true : false>().toEqualTypeOf<false>()
  })
})
