/** Guests for tests: machine code that stands beside its assembly, and machines of one vCPU to run it. */

import { readdirSync, readFileSync } from "node:fs"
import { it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { Errno, Kvm, Syscall } from "../../src/index.ts"
import { eventually } from "./process.ts"

/** `it.live` for a test that starts from `/dev/kvm`; what it makes ends before that closes. */
export const itKvm = <A, E>(name: string, test: Effect.Effect<A, E, Kvm.Kvm | Scope.Scope>): void =>
  it.live(name, () => test.pipe(Effect.scoped, Effect.provide(Kvm.layer)))

/** Where code begins, in the guest's memory and in its segments, whose bases are 0. */
export const codeAddress = 0x1000

/** One line of assembly: its bytes, and the line itself for whoever reads the test. */
export const asm = (_assembly: string, ...bytes: ReadonlyArray<number>): ReadonlyArray<number> => bytes

/** `eb fe` */
export const spin = asm("here: jmp here", 0xeb, 0xfe)

export const hlt = asm("hlt", 0xf4)

/**
 * Counts in `cx` and tells each number, a word, through port 0x10, for ever.
 *
 * A number that the host never sees is a lost exit.
 */
export const counter = [
  ...asm("      mov dx, 0x10", 0xba, 0x10, 0x00),
  ...asm("next: inc cx", 0x41),
  ...asm("      mov ax, cx", 0x89, 0xc8),
  ...asm("      out dx, ax", 0xef),
  ...asm("      jmp next", 0xeb, 0xfa)
]

/** Counts up the word at 0x1800, without an exit, for ever: memory shows that it runs, and how far it is. */
export const memoryCounter = [
  ...asm("next: inc word [0x1800]", 0xff, 0x06, 0x00, 0x18),
  ...asm("      jmp next", 0xeb, 0xfa)
]

/** What {@link memoryCounter} has counted to. */
export const counted = (memory: Kvm.GuestMemory): number => new DataView(memory.mapping.buffer).getUint16(0x800, true)

/** Puts a vCPU at the start of the code, in 16-bit real mode with all segments at 0. */
export const enterRealMode = (vcpu: Kvm.Vcpu, regs: Partial<Kvm.kvm_regs> = {}) =>
  Effect.gen(function* () {
    yield* Kvm.modifySregs(vcpu, ({ cs, ds, es, ss }) => ({
      cs: { ...cs, base: 0n, selector: 0 },
      ds: { ...ds, base: 0n, selector: 0 },
      es: { ...es, base: 0n, selector: 0 },
      ss: { ...ss, base: 0n, selector: 0 }
    }))
    yield* Kvm.modifyRegs(vcpu, () => ({ rip: BigInt(codeAddress), rflags: 2n, rsp: 0x2000n, ...regs }))
  })

/** Where page tables for {@link enterLongMode} lie: three pages. */
const tables = 0x2000

/** Puts a vCPU at the start of the code, in 64-bit mode with the lowest 2 MiB mapped to themselves. */
export const enterLongMode = (vcpu: Kvm.Vcpu, memory: Kvm.GuestMemory, regs: Partial<Kvm.kvm_regs> = {}) =>
  Effect.gen(function* () {
    const view = new DataView(memory.mapping.buffer)
    const put = (address: number, entry: number) => view.setBigUint64(address - codeAddress, BigInt(entry), true)
    put(tables, (tables + 0x1000) | 3) // present, writable
    put(tables + 0x1000, (tables + 0x2000) | 3)
    put(tables + 0x2000, 0x83) // present, writable, a page of 2 MiB
    yield* Kvm.modifySregs(vcpu, (sregs) => {
      const data = { ...sregs.ds, base: 0n, limit: 0xffffffff, selector: 16, type: 3, present: 1, s: 1, db: 1, g: 1 }
      return {
        cr0: 0x80000011n, // PG, ET, PE
        cr3: BigInt(tables),
        cr4: 0x20n, // PAE
        efer: 0x500n, // LMA, LME
        cs: { ...data, selector: 8, type: 11, db: 0, l: 1 },
        ds: data,
        es: data,
        fs: data,
        gs: data,
        ss: data
      }
    })
    yield* Kvm.modifyRegs(vcpu, () => ({ rip: BigInt(codeAddress), rflags: 2n, rsp: 0x2000n, ...regs }))
  })

export interface Guest {
  readonly vm: Kvm.Vm
  readonly memory: Kvm.GuestMemory
  readonly vcpu: Kvm.Vcpu
}

/** A machine whose 16 KiB of memory, from 0x1000 on, begin with the code, its vCPU about to run it in real mode. */
export const makeGuest = (code: ReadonlyArray<number>, regs: Partial<Kvm.kvm_regs> = {}) =>
  Effect.gen(function* () {
    const vm = yield* Kvm.createVm()
    const memory = yield* Kvm.addMemory(vm, { slot: 0, guestAddress: codeAddress, size: 0x4000 })
    memory.bytes.set(code)
    const vcpu = yield* Kvm.createVcpu(vm, 0)
    yield* enterRealMode(vcpu, regs)
    return { vm, memory, vcpu } satisfies Guest
  })

/** The same, in 64-bit mode. */
export const makeLongGuest = (code: ReadonlyArray<number>, regs: Partial<Kvm.kvm_regs> = {}) =>
  Effect.tap(makeGuest(code), ({ memory, vcpu }) => enterLongMode(vcpu, memory, regs))

/** The exits of a guest up to its `Hlt`, which is the last of them. */
export const runToHlt = (vcpu: Kvm.Vcpu, run: typeof Kvm.run = Kvm.run) =>
  Effect.gen(function* () {
    const exits: Array<Kvm.Exit> = []
    while (true) {
      const exit = yield* run(vcpu)
      exits.push(exit)
      if (exit._tag === "Hlt") return exits
      if (exits.length === 1000) return yield* Effect.die(new Error("the guest does not halt"))
    }
  })

/** The next exit, which must be of this kind. */
export const expectExit = <Tag extends Kvm.Exit["_tag"]>(vcpu: Kvm.Vcpu, tag: Tag) =>
  Effect.flatMap(Kvm.run(vcpu), (exit) =>
    Kvm.Exit.$is(tag)(exit)
      ? Effect.succeed(exit)
      : Effect.die(new Error(`expected the guest to stop with ${tag}, it stopped with ${exit._tag}`))
  )

/** Fails unless the effect fails with this errno; gives the error. */
export const expectErrno = <A, E, R, Tag extends Errno.Errno["_tag"]>(effect: Effect.Effect<A, E, R>, tag: Tag) =>
  Effect.flatMap(Effect.flip(effect), (error) =>
    Errno.isErrno(error) && error._tag === tag
      ? Effect.succeed(error)
      : Effect.die(new Error(`expected ${tag}, the effect failed with ${error}`))
  )

/** Answers `KVM_RUN` in the kernel's place, where `answer` returns a result; every other call is the kernel's. */
export const answeringRuns = (answer: (proceed: () => Syscall.Result) => Syscall.Result) =>
  Effect.provideService(
    Syscall.Trampoline,
    Syscall.intercept(Syscall.kernel, (nr, args, proceed) => {
      if (nr !== Syscall.nr.ioctl || args[1] !== Kvm.KVM_RUN.code) return proceed()
      return answer(() => {
        const result = proceed()
        if (typeof result === "object") throw new Error("only runInline proceeds without an effect")
        return result
      })
    })
  )

/**
 * Whether a condition comes true that depends on another thread, a guest's: on a busy machine that one may get no
 * processor for hundreds of milliseconds, in which the loop turns tens of thousands of times.
 */
export const comesTrue = (condition: () => boolean) => eventually(condition, 1_000_000)

/** The identifiers of this process's threads, but for those that an idle ring of io_uring keeps for some seconds. */
export const threadIds = (): ReadonlyArray<number> =>
  readdirSync("/proc/self/task")
    .map(Number)
    .filter((id) => {
      try {
        return !readFileSync(`/proc/self/task/${id}/comm`, "utf8").startsWith("iou-wrk")
      } catch {
        return false // ended between the two looks
      }
    })

/** The same without those that KVM itself adds to a process that runs a machine (`kvm-nx-lpage-recovery`). */
export const userThreadIds = (): ReadonlyArray<number> =>
  threadIds().filter((id) => {
    try {
      return !readFileSync(`/proc/self/task/${id}/comm`, "utf8").startsWith("kvm-")
    } catch {
      return false // ended between the two looks
    }
  })
