#include "interrupt.h"

#include <signal.h>

#include <cerrno>
#include <cstring>

namespace effect_linux {

namespace {

constexpr size_t kStackSize = 256 * 1024;

// The flag of the call that this thread is making; null on threads that are not ours. A signal handler reads it, and
// the first use of a variable of a loaded library can allocate: glibc is told to keep room for it in each thread, and
// the signal stays blocked until the thread has used it once.
#if defined(__GLIBC__)
__attribute__((tls_model("initial-exec")))
#endif
thread_local const volatile int* volatile current_cancelled = nullptr;

// A signal that is not for the call at hand (somebody else's, or one of ours that came late) must not abort it.
void OnSignal(int, siginfo_t*, void* context) {
  const volatile int* cancelled = current_cancelled;
  if (cancelled != nullptr && *cancelled != 0) RedirectIfBeforeCall(context);
}

}  // namespace

// Installed without SA_RESTART, as its whole point is that the kernel gives up with EINTR.
int InterruptSignal() {
  static const int signal = [] {
    for (int candidate = SIGRTMAX; candidate >= SIGRTMIN; candidate--) {
      struct sigaction old;
      if (sigaction(candidate, nullptr, &old) != 0) continue;
      if ((old.sa_flags & SA_SIGINFO) != 0 || old.sa_handler != SIG_DFL) continue;
      struct sigaction action;
      memset(&action, 0, sizeof action);
      action.sa_sigaction = OnSignal;
      action.sa_flags = SA_SIGINFO | SA_ONSTACK;
      sigfillset(&action.sa_mask);
      if (sigaction(candidate, &action, nullptr) == 0) return candidate;
    }
    return 0;
  }();
  return signal;
}

// A signal sent before is pending then, and the call it was meant for has its flag set.
void BeginThread(const char* name) {
  current_cancelled = nullptr;
  pthread_setname_np(pthread_self(), name);
  sigset_t ours;
  sigemptyset(&ours);
  sigaddset(&ours, InterruptSignal());
  pthread_sigmask(SIG_UNBLOCK, &ours, nullptr);
}

// All signals are the JavaScript thread's business, but for ours.
int StartThread(pthread_t* thread, void* (*entry)(void*), void* argument) {
  const int signal = InterruptSignal();
  if (signal == 0) return EAGAIN;
  sigset_t blocked, previous;
  sigfillset(&blocked);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackSize);
  pthread_sigmask(SIG_SETMASK, &blocked, &previous);
  const int error = pthread_create(thread, &attributes, entry, argument);
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  pthread_attr_destroy(&attributes);
  return error;
}

long InvokeInterruptible(const volatile int* cancelled, const SystemCall& call) {
  current_cancelled = cancelled;
  const long result = InvokeCancellable(cancelled, call);
  current_cancelled = nullptr;
  return result;
}

}  // namespace effect_linux
