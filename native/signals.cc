// What a thread blocks only the thread itself can change, and Node's own threads run no code of ours: each is sent a
// signal whose handler changes the mask that is put back when it returns.
#include "signals.h"

#include <asm/unistd.h>
#include <linux/futex.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <mutex>

namespace effect_linux {

namespace {

// How many threads have heard of the request that is under way. All else that a handler needs comes with its signal.
std::atomic<uint32_t> request{0};
std::atomic<uint32_t> heard{0};
static_assert(std::atomic<uint32_t>::is_always_lock_free, "handlers take no lock");

std::mutex one_at_a_time;

void OnRequest(int, siginfo_t* info, void* context) {
  if (info->si_code != SI_QUEUE || info->si_pid != getpid()) return;
  const int saved = errno;
  auto* mask = &static_cast<ucontext_t*>(context)->uc_sigmask;
  // The kernel's set is the first 64 bits of libc's.
  uint64_t bits;
  memcpy(&bits, mask, sizeof bits);
  bits |= reinterpret_cast<uint64_t>(info->si_value.sival_ptr);
  memcpy(mask, &bits, sizeof bits);
  // One that comes late does what it was asked, and is not counted for the next.
  if (static_cast<uint32_t>(info->si_errno) == request.load()) {
    heard.fetch_add(1);
    syscall(__NR_futex, &heard, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
  }
  errno = saved;
}

// The real-time signal that carries a request: the highest that nobody has claimed when it is first needed. With
// SA_RESTART, as the threads it is sent to are not ours, and are to notice nothing.
int Carrier() {
  static const int signal = [] {
    for (int candidate = SIGRTMAX; candidate >= SIGRTMIN; candidate--) {
      struct sigaction old;
      if (sigaction(candidate, nullptr, &old) != 0) continue;
      if ((old.sa_flags & SA_SIGINFO) != 0 || old.sa_handler != SIG_DFL) continue;
      struct sigaction action;
      memset(&action, 0, sizeof action);
      action.sa_sigaction = OnRequest;
      action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
      sigfillset(&action.sa_mask);
      if (sigaction(candidate, &action, nullptr) == 0) return candidate;
    }
    return 0;
  }();
  return signal;
}

constexpr int64_t kPatienceNs = 200'000'000;

int64_t Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

// blockIn(threads, low, high): blocks a set of signals in other threads of the process, and waits until they have; the
// caller looks whether they did. The set comes in two halves of 32 bits.
napi_value BlockIn(napi_env env, napi_callback_info info) {
  size_t count = 3;
  napi_value values[3];
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  uint32_t low = 0, high = 0, threads = 0;
  napi_get_array_length(env, values[0], &threads);
  napi_get_value_uint32(env, values[1], &low);
  napi_get_value_uint32(env, values[2], &high);
  const int carrier = Carrier();
  if (carrier == 0) return nullptr;

  const std::lock_guard<std::mutex> lock(one_at_a_time);
  heard = 0;
  const uint32_t number = (request = (request + 1) & INT_MAX);
  uint32_t sent = 0;
  for (uint32_t i = 0; i < threads; i++) {
    napi_value value;
    int32_t tid = 0;
    napi_get_element(env, values[0], i, &value);
    napi_get_value_int32(env, value, &tid);
    siginfo_t about;
    memset(&about, 0, sizeof about);
    about.si_signo = carrier;
    about.si_errno = static_cast<int>(number);
    about.si_code = SI_QUEUE;
    about.si_pid = getpid();
    about.si_uid = getuid();
    about.si_value.sival_ptr = reinterpret_cast<void*>(low | static_cast<uint64_t>(high) << 32);
    if (syscall(__NR_rt_tgsigqueueinfo, getpid(), tid, carrier, &about) == 0) sent++;
  }
  const int64_t until = Now() + kPatienceNs;
  for (uint32_t now = heard; now < sent; now = heard) {
    const int64_t left = until - Now();
    if (left <= 0) break;
    const timespec patience = {left / 1'000'000'000, left % 1'000'000'000};
    syscall(__NR_futex, &heard, FUTEX_WAIT_PRIVATE, now, &patience, nullptr, 0);
  }
  return nullptr;
}

// carrierSignal(): the signal that carries requests; 0 where none was left for it.
napi_value CarrierSignal(napi_env env, napi_callback_info) {
  napi_value signal;
  napi_create_int32(env, Carrier(), &signal);
  return signal;
}

}  // namespace

void InitSignals(napi_env env, napi_value exports) {
  const napi_property_descriptor properties[] = {
      {"carrierSignal", nullptr, CarrierSignal, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"blockIn", nullptr, BlockIn, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
  };
  napi_define_properties(env, exports, sizeof properties / sizeof *properties, properties);
}

}  // namespace effect_linux
