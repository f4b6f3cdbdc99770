// The instruction that enters the kernel, for each architecture, in two forms: a plain one, and one that a signal can
// abort without a race. Nothing here knows of JavaScript.
//
// Both return what the kernel left in its result register: a value, or -errno. libc's errno plays no part.
#ifndef EFFECT_LINUX_STUB_H_
#define EFFECT_LINUX_STUB_H_

#if !defined(__linux__)
#error "effect-linux speaks to Linux only"
#endif

namespace effect_linux {

struct SystemCall {
  long number;
  long arguments[6];
};

inline long Invoke(const SystemCall& call) {
  const long* a = call.arguments;
#if defined(__x86_64__)
  long result;
  register long r10 asm("r10") = a[3];
  register long r8 asm("r8") = a[4];
  register long r9 asm("r9") = a[5];
  asm volatile("syscall"
               : "=a"(result)
               : "a"(call.number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 asm("x8") = call.number;
  register long x0 asm("x0") = a[0];
  register long x1 asm("x1") = a[1];
  register long x2 asm("x2") = a[2];
  register long x3 asm("x3") = a[3];
  register long x4 asm("x4") = a[4];
  register long x5 asm("x5") = a[5];
  asm volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
#elif defined(__riscv) && __riscv_xlen == 64
  register long a7 asm("a7") = call.number;
  register long a0 asm("a0") = a[0];
  register long a1 asm("a1") = a[1];
  register long a2 asm("a2") = a[2];
  register long a3 asm("a3") = a[3];
  register long a4 asm("a4") = a[4];
  register long a5 asm("a5") = a[5];
  asm volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5) : "memory");
  return a0;
#elif defined(__arm__) && defined(__ARM_EABI__)
  // r7 carries the number, and is the frame pointer of Thumb code, so it is saved by hand.
  register long r0 asm("r0") = a[0];
  register long r1 asm("r1") = a[1];
  register long r2 asm("r2") = a[2];
  register long r3 asm("r3") = a[3];
  register long r4 asm("r4") = a[4];
  register long r5 asm("r5") = a[5];
  register long number asm("r6") = call.number;
  asm volatile("mov ip, r7\n\tmov r7, %1\n\tsvc #0\n\tmov r7, ip"
               : "+r"(r0)
               : "r"(number), "r"(r1), "r"(r2), "r"(r3), "r"(r4), "r"(r5)
               : "ip", "memory");
  return r0;
#else
#error "effect-linux has no system call stub for this architecture (x86_64, aarch64, riscv64 and 32-bit arm have one)"
#endif
}

// Makes the call unless *cancelled is set; returns -EINTR instead of making it when it is. Together with
// RedirectIfBeforeCall in a signal handler there is no moment at which a signal sent after *cancelled was set is lost:
// before the flag is read the flag stops the call, between that and the instruction the handler does, in the kernel the
// pending signal does.
long InvokeCancellable(const volatile int* cancelled, const SystemCall& call);

// For a signal handler: if the interrupted thread stands inside InvokeCancellable but has not entered the kernel,
// sends it to the exit that returns -EINTR. `context` is the handler's third argument.
void RedirectIfBeforeCall(void* context);

}  // namespace effect_linux

#endif  // EFFECT_LINUX_STUB_H_
