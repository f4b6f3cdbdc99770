// The cancellable stub: hand-written so that the addresses between "flag read" and "kernel entered" are known, and the
// signal handler can tell by the program counter whether the call has begun.
#include "stub.h"

#include <ucontext.h>

#include <type_traits>

extern "C" {
long effect_linux_cancellable(const volatile int* cancelled, long number, long a0, long a1, long a2, long a3, long a4,
                              long a5) __attribute__((visibility("hidden")));
extern const char effect_linux_cancellable_begin[] __attribute__((visibility("hidden")));
extern const char effect_linux_cancellable_end[] __attribute__((visibility("hidden")));
extern const char effect_linux_cancellable_cancel[] __attribute__((visibility("hidden")));
}

// Between begin and end neither the stack pointer nor a callee-saved register may change: the cancel exit returns from
// wherever in that range the signal struck. `end` is the address after the instruction, so that a call which the kernel
// rewinds for a transparent restart counts as not begun.
#define EFFECT_LINUX_LABELS(entry)                                                                       \
  ".text\n.balign 16\n"                                                                                  \
  ".hidden effect_linux_cancellable\n.hidden effect_linux_cancellable_begin\n"                           \
  ".hidden effect_linux_cancellable_end\n.hidden effect_linux_cancellable_cancel\n"                      \
  ".globl effect_linux_cancellable\n.globl effect_linux_cancellable_begin\n"                             \
  ".globl effect_linux_cancellable_end\n.globl effect_linux_cancellable_cancel\n"                        \
  ".type effect_linux_cancellable," entry "function\n"                                                   \
  "effect_linux_cancellable:\n"

#if defined(__x86_64__)
asm(EFFECT_LINUX_LABELS("@")
    "effect_linux_cancellable_begin:\n"
    "cmpl $0, (%rdi)\n"
    "jne effect_linux_cancellable_cancel\n"
    "movq %rsi, %rax\n"
    "movq %rdx, %rdi\n"
    "movq %rcx, %rsi\n"
    "movq %r8, %rdx\n"
    "movq %r9, %r10\n"
    "movq 8(%rsp), %r8\n"
    "movq 16(%rsp), %r9\n"
    "syscall\n"
    "effect_linux_cancellable_end:\n"
    "ret\n"
    "effect_linux_cancellable_cancel:\n"
    "movq $-4, %rax\n"
    "ret\n"
    ".size effect_linux_cancellable, .-effect_linux_cancellable\n");
#elif defined(__aarch64__)
asm(EFFECT_LINUX_LABELS("%")
    "effect_linux_cancellable_begin:\n"
    "ldr w9, [x0]\n"
    "cbnz w9, effect_linux_cancellable_cancel\n"
    "mov x8, x1\n"
    "mov x0, x2\n"
    "mov x1, x3\n"
    "mov x2, x4\n"
    "mov x3, x5\n"
    "mov x4, x6\n"
    "mov x5, x7\n"
    "svc #0\n"
    "effect_linux_cancellable_end:\n"
    "ret\n"
    "effect_linux_cancellable_cancel:\n"
    "mov x0, #-4\n"
    "ret\n"
    ".size effect_linux_cancellable, .-effect_linux_cancellable\n");
#elif defined(__riscv)
asm(EFFECT_LINUX_LABELS("@")
    "effect_linux_cancellable_begin:\n"
    "lw t0, 0(a0)\n"
    "bnez t0, effect_linux_cancellable_cancel\n"
    "mv t0, a1\n"
    "mv a0, a2\n"
    "mv a1, a3\n"
    "mv a2, a4\n"
    "mv a3, a5\n"
    "mv a4, a6\n"
    "mv a5, a7\n"
    "mv a7, t0\n"
    "ecall\n"
    "effect_linux_cancellable_end:\n"
    "ret\n"
    "effect_linux_cancellable_cancel:\n"
    "li a0, -4\n"
    "ret\n"
    ".size effect_linux_cancellable, .-effect_linux_cancellable\n");
#elif defined(__arm__)
asm(".syntax unified\n.arm\n" EFFECT_LINUX_LABELS("%")
    // From here on the stack stays as it is.
    "push {r4, r5, r7, lr}\n"
    "effect_linux_cancellable_begin:\n"
    "ldr ip, [r0]\n"
    "cmp ip, #0\n"
    "bne effect_linux_cancellable_cancel\n"
    "mov r7, r1\n"
    "mov r0, r2\n"
    "mov r1, r3\n"
    "ldr r2, [sp, #16]\n"
    "ldr r3, [sp, #20]\n"
    "ldr r4, [sp, #24]\n"
    "ldr r5, [sp, #28]\n"
    "svc #0\n"
    "effect_linux_cancellable_end:\n"
    "pop {r4, r5, r7, pc}\n"
    "effect_linux_cancellable_cancel:\n"
    "mvn r0, #3\n"
    "pop {r4, r5, r7, pc}\n"
    ".size effect_linux_cancellable, .-effect_linux_cancellable\n");
#endif

namespace effect_linux {

long InvokeCancellable(const volatile int* cancelled, const SystemCall& call) {
  const long* a = call.arguments;
  return effect_linux_cancellable(cancelled, call.number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

void RedirectIfBeforeCall(void* context) {
  auto& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  auto& counter = machine.gregs[REG_RIP];
#elif defined(__aarch64__)
  auto& counter = machine.pc;
#elif defined(__arm__)
  auto& counter = machine.arm_pc;
#elif defined(__riscv)
  auto& counter = machine.__gregs[REG_PC];
#endif
  const auto at = static_cast<unsigned long>(counter);
  if (at >= reinterpret_cast<unsigned long>(effect_linux_cancellable_begin) &&
      at < reinterpret_cast<unsigned long>(effect_linux_cancellable_end)) {
    counter = static_cast<std::remove_reference_t<decltype(counter)>>(
        reinterpret_cast<unsigned long>(effect_linux_cancellable_cancel));
  }
}

}  // namespace effect_linux
