/** Guests that run for ever, and fibers that do not: interruption, at any moment. */
import { assert } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { File, Kvm, Syscall } from "../src/index.ts"
import {
  asm,
  comesTrue,
  counted,
  counter,
  expectErrno,
  expectExit,
  hlt,
  itKvm,
  makeGuest,
  memoryCounter,
  spin,
  threadIds
} from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"
import { mappings, openFds } from "./support/process.ts"

const holdings = Effect.all({ fds: openFds, mappings: mappings(/kvm-vcpu|\/dev\/zero/) })

/** The same as `counter`, with some hundreds of instructions before each number. */
const slowCounter = [
  ...asm("      mov dx, 0x10", 0xba, 0x10, 0x00),
  ...asm("next: inc cx", 0x41),
  ...asm("      mov si, 200", 0xbe, 0xc8, 0x00),
  ...asm("wait: dec si", 0x4e),
  ...asm("      jnz wait", 0x75, 0xfd),
  ...asm("      mov ax, cx", 0x89, 0xc8),
  ...asm("      out dx, ax", 0xef),
  ...asm("      jmp next", 0xeb, 0xf4)
]

/** Lets the loop turn a number of times: none, only microtasks, or some. */
const turns = (count: number) =>
  Effect.promise(async () => {
    for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
  })

/** Numbers that look random and are the same in each run. */
const numbers = function* (seed: number) {
  let state = seed
  while (true) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff
    yield state >> 8
  }
}

/** Holds the thread for some microseconds, so that interruptions fall on all parts of a guest's round. */
const burn = (microseconds: number) =>
  Effect.sync(() => {
    const end = performance.now() + microseconds / 1000
    while (performance.now() < end);
  })

describeKvm("interrupting a fiber whose guest spins for ever", () => {
  itKvm(
    "ends it in well under a second, and leaves no descriptor, mapping or thread",
    Effect.gen(function* () {
      yield* Effect.scoped(makeGuest([...hlt]))
      const before = yield* holdings
      const threads = new Set(threadIds())
      const running = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(
        Effect.scoped(
          Effect.gen(function* () {
            const { memory, vcpu } = yield* makeGuest([...memoryCounter])
            const inner = yield* Effect.forkChild(Kvm.run(vcpu))
            assert.isTrue(yield* comesTrue(() => counted(memory) > 0))
            yield* Deferred.succeed(running, undefined)
            return yield* Fiber.join(inner)
          })
        )
      )
      yield* Deferred.await(running)
      const start = performance.now()
      yield* Fiber.interrupt(fiber)
      assert.isBelow(performance.now() - start, 1000)
      assert.deepStrictEqual(yield* holdings, before)
      assert.isTrue(yield* comesTrue(() => threadIds().every((id) => threads.has(id))))
    })
  )

  itKvm(
    "works when the fiber itself holds the machine",
    Effect.gen(function* () {
      const before = yield* holdings
      const running = yield* Deferred.make<Kvm.GuestMemory>()
      const fiber = yield* Effect.forkChild(
        Effect.scoped(
          Effect.gen(function* () {
            const { memory, vcpu } = yield* makeGuest([...memoryCounter])
            yield* Deferred.succeed(running, memory)
            return yield* Kvm.run(vcpu)
          })
        )
      )
      const memory = yield* Deferred.await(running)
      assert.isTrue(yield* comesTrue(() => counted(memory) > 0))
      const exit = yield* Effect.andThen(Fiber.interrupt(fiber), Fiber.await(fiber))
      assert.isTrue(Exit.hasInterrupts(exit))
      assert.strictEqual(memory.bytes.length, 0)
      assert.deepStrictEqual(yield* holdings, before)
    })
  )

  itKvm(
    "a timeout is an interruption like any other",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...spin])
      const start = performance.now()
      const answer = yield* Effect.timeoutOption(Kvm.run(vcpu), "5 millis")
      assert.strictEqual(answer._tag, "None")
      assert.isBelow(performance.now() - start, 1000)
    })
  )

  itKvm(
    "the loop stays free while it spins: timers fire",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest([...memoryCounter])
      const fiber = yield* Effect.forkChild(Kvm.run(vcpu))
      assert.isTrue(yield* comesTrue(() => counted(memory) > 0))
      // On a busy machine any process may have to wait for a processor, so the best of some rounds counts; a loop that
      // the guest holds up has no good round.
      let best = Number.POSITIVE_INFINITY
      for (let round = 0; round < 5 && best >= 200; round++) {
        let longest = 0
        let last = performance.now()
        for (let tick = 0; tick < 50; tick++) {
          yield* Effect.sleep("1 millis")
          const now = performance.now()
          longest = Math.max(longest, now - last)
          last = now
        }
        best = Math.min(best, longest)
      }
      const sofar = counted(memory)
      assert.isTrue(yield* comesTrue(() => counted(memory) !== sofar))
      assert.isBelow(best, 200)
      yield* Fiber.interrupt(fiber)
    })
  )

  itKvm(
    "running it again goes on from where it was",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest([...memoryCounter])
      for (let round = 0; round < 20; round++) {
        const sofar = counted(memory)
        const fiber = yield* Effect.forkChild(Kvm.run(vcpu))
        assert.isTrue(yield* comesTrue(() => counted(memory) !== sofar))
        yield* Fiber.interrupt(fiber)
        // The flag is what keeps a guest out that the signal came too early for.
        assert.strictEqual(vcpu.page.bytes[Kvm.kvm_run.fields.immediate_exit.offset], 1)
        // Stopped: it counts no more, and its registers can be read.
        const stopped = counted(memory)
        yield* turns(3)
        assert.strictEqual(counted(memory), stopped)
        assert.include([0x1000n, 0x1004n], (yield* Kvm.getRegs(vcpu)).rip)
      }
    })
  )

  itKvm(
    "an interruption before the guest is entered leaves no trace: the next run enters it",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest([...memoryCounter])
      for (let round = 0; round < 20; round++) {
        const fiber = yield* Effect.forkChild(Kvm.run(vcpu), { startImmediately: true })
        yield* Fiber.interrupt(fiber)
      }
      const sofar = counted(memory)
      yield* Effect.forkScoped(Kvm.run(vcpu))
      assert.isTrue(yield* comesTrue(() => counted(memory) !== sofar))
    })
  )
})

describeKvm("interruption at random moments", () => {
  itKvm(
    "leaves nothing of a machine, whether it was being made, ran or ended",
    Effect.gen(function* () {
      const guest = Effect.scoped(Effect.flatMap(makeGuest([...spin]), ({ vcpu }) => Kvm.run(vcpu)))
      yield* Effect.scoped(makeGuest([...hlt]))
      const before = yield* holdings
      const threads = new Set(threadIds())
      const random = numbers(1)
      for (let round = 0; round < 150; round++) {
        const fiber = yield* Effect.forkChild(guest, { startImmediately: round % 2 === 0 })
        yield* turns((random.next().value ?? 0) % 4)
        yield* burn((random.next().value ?? 0) % 300)
        yield* Fiber.interrupt(fiber)
      }
      assert.deepStrictEqual(yield* holdings, before)
      assert.isTrue(yield* comesTrue(() => threadIds().every((id) => threads.has(id))))
    })
  )

  itKvm(
    "loses no exit: a guest's counter has no gap and no number twice",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...counter])
      const seen: Array<number> = []
      const listen = Effect.forever(
        Effect.map(Kvm.run(vcpu), (exit) => {
          if (exit._tag === "Io") seen.push(exit.data[0] ?? 0, exit.data[1] ?? 0)
          else if (exit._tag !== "Intr") throw new Error(`the guest stopped with ${exit._tag}`)
        })
      )
      const random = numbers(2)
      let interruptions = 0
      while (interruptions < 400 || seen.length < 400) {
        const fiber = yield* Effect.forkChild(listen, { startImmediately: true })
        yield* turns((random.next().value ?? 0) % 3)
        yield* burn((random.next().value ?? 0) % 100)
        yield* Fiber.interrupt(fiber)
        interruptions++
        if (interruptions === 10_000) break
      }
      const words = new DataView(Uint8Array.from(seen).buffer)
      const told = Array.from({ length: seen.length / 2 }, (_, index) => words.getUint16(2 * index, true))
      assert.isAtLeast(told.length, 200)
      assert.deepStrictEqual(
        told,
        told.map((_, index) => (index + 1) & 0xffff)
      )
    })
  )

  itKvm(
    "an exit that came just as the fiber was interrupted is what the next run gives, the guest not entered again",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...slowCounter])
      // The thread is there, and has found that it does not pay to wait for this guest on the spot.
      for (let round = 1; round <= 8; round++) yield* expectExit(vcpu, "Io")
      let kept = 0
      for (let round = 9; kept < 3 && round < 500; round++) {
        const fiber = yield* Effect.forkChild(Kvm.run(vcpu), { startImmediately: true })
        // The guest stops by itself meanwhile; this thread, held, cannot have heard of it.
        yield* burn(3000)
        yield* Fiber.interrupt(fiber)
        // Unless that was for want of a processor, and it was told on the spot.
        if (Exit.isSuccess(yield* Fiber.await(fiber))) continue
        let entered = false
        const exit = yield* expectExit(vcpu, "Io").pipe(
          Effect.provideService(
            Syscall.Trampoline,
            Syscall.record(Syscall.kernel, () => {
              entered = true
            })
          )
        )
        assert.deepStrictEqual([...exit.data], [round & 0xff, round >> 8])
        if (!entered) kept++
      }
      assert.strictEqual(kept, 3)
    })
  )
})

describeKvm("interrupting runUntil whose device is told late, by effects that end at once", () => {
  // Those cannot be interrupted, so that nothing of what is put by is lost: the rounds between them can.
  itKvm(
    "ends it within some rounds of the guest",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([
        ...asm("next: in al, 0x20", 0xe4, 0x20),
        ...asm("      out 0x10, al", 0xe6, 0x10),
        ...asm("      jmp next", 0xeb, 0xfa)
      ])
      for (let time = 0; time < 20; time++) {
        let rounds = 0
        const read = () => {
          if (++rounds === 500) fiber.interruptUnsafe()
          return 1
        }
        const bus = yield* Kvm.bus([Kvm.pio(0x20, 1, { in8: read }), Kvm.pio(0x10, 1, { writes: () => Effect.void })])
        const fiber: Fiber.Fiber<unknown, unknown> = yield* Effect.forkChild(Kvm.runUntil(vcpu, { bus }))
        yield* Fiber.await(fiber)
        assert.isAtLeast(rounds, 500)
        assert.isBelow(rounds, 700)
      }
    })
  )
})

describeKvm("closing a vCPU that another fiber runs", () => {
  itKvm(
    "gives that fiber EBADF, at once",
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { memory, vcpu } = yield* Scope.provide(makeGuest([...memoryCounter]), scope)
      const fiber = yield* Effect.forkChild(Effect.flip(Kvm.run(vcpu)))
      assert.isTrue(yield* comesTrue(() => counted(memory) > 0))
      const start = performance.now()
      yield* Scope.close(scope, Exit.void)
      const error = yield* Fiber.join(fiber)
      assert.isBelow(performance.now() - start, 1000)
      assert.strictEqual(error._tag, "EBADF")
      assert.include(error.message, "closed")
    })
  )

  itKvm(
    "gives EBADF also to a fiber whose guest has not been entered yet",
    Effect.gen(function* () {
      for (let round = 0; round < 20; round++) {
        const scope = yield* Scope.make()
        const { vcpu } = yield* Scope.provide(makeGuest([...spin]), scope)
        const fiber = yield* Effect.forkChild(Kvm.run(vcpu), { startImmediately: true })
        yield* Scope.close(scope, Exit.void)
        yield* expectErrno(Fiber.join(fiber), "EBADF")
      }
    })
  )

  itKvm(
    "may be followed or joined by an interruption of that fiber, in the same turn of the loop",
    Effect.gen(function* () {
      const before = yield* holdings
      for (const at of ["after", "with", "before"] as const) {
        const scope = yield* Scope.make()
        const { memory, vcpu } = yield* Scope.provide(makeGuest([...memoryCounter]), scope)
        const fiber = yield* Effect.forkChild(Kvm.run(vcpu))
        assert.isTrue(yield* comesTrue(() => counted(memory) > 0))
        const close = Scope.close(scope, Exit.void)
        const interrupt = Fiber.interrupt(fiber)
        if (at === "with") yield* Effect.all([close, interrupt], { concurrency: "unbounded" })
        else yield* at === "after" ? Effect.andThen(close, interrupt) : Effect.andThen(interrupt, close)
        const exit = yield* Fiber.await(fiber)
        assert.isFalse(Exit.hasDies(exit), `${at}: ${exit}`)
      }
      assert.deepStrictEqual(yield* holdings, before)
    })
  )
})

describeKvm("closing the file of a vCPU whose guest spins", () => {
  itKvm(
    "ends the run with EBADF and waits for it",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest([...memoryCounter])
      const run = yield* Effect.forkChild(Effect.flip(Kvm.run(vcpu)))
      assert.isTrue(yield* comesTrue(() => counted(memory) > 0))
      yield* File.close(vcpu.file)
      const reached = counted(memory)
      assert.strictEqual((yield* Fiber.join(run))._tag, "EBADF")
      yield* turns(20)
      assert.strictEqual(counted(memory), reached)
    })
  )

  itKvm(
    "never sends the run to another file that got its number",
    Effect.gen(function* () {
      for (let round = 0; round < 30; round++) {
        yield* Effect.gen(function* () {
          const { vcpu } = yield* makeGuest([...spin])
          const run = yield* Effect.forkChild(Effect.flip(Kvm.run(vcpu)), { startImmediately: true })
          yield* File.close(vcpu.file)
          yield* File.open("/etc/passwd")
          assert.strictEqual((yield* Fiber.join(run))._tag, "EBADF")
        }).pipe(Effect.scoped)
      }
    })
  )
})
