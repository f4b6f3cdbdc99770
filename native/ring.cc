// JavaScript writes submissions into the ring's memory and reads completions from it. This file sets a ring up, submits
// once in each turn of the loop what has been written since the last, and wakes JavaScript when there are completions.
//
// A ring is in the loop with two handles: one that watches the eventfd which the kernel signals, and one that runs just
// before the loop waits. Only the first keeps the loop alive, and only while JavaScript says that something is pending.
#include "ring.h"

#include <asm/unistd.h>
#include <linux/io_uring.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "arguments.h"
#include "environment.h"
#include "loop.h"
#include "stub.h"

// The headers may be older than the kernel: what setup does not know it refuses, and we ask for less.
#ifndef IORING_SETUP_SUBMIT_ALL
#define IORING_SETUP_SUBMIT_ALL (1U << 7)
#endif
#ifndef IORING_SETUP_COOP_TASKRUN
#define IORING_SETUP_COOP_TASKRUN (1U << 8)
#endif
#ifndef IORING_SETUP_TASKRUN_FLAG
#define IORING_SETUP_TASKRUN_FLAG (1U << 9)
#endif
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif
#ifndef IORING_SQ_TASKRUN
#define IORING_SQ_TASKRUN (1U << 2)
#endif

namespace effect_linux {

namespace {

// IORING_REGISTER_SYNC_CANCEL and its structure, of Linux 6.0.
constexpr unsigned kRegisterSyncCancel = 24;
constexpr unsigned kCancelAll = 1U << 0;
constexpr unsigned kCancelAny = 1U << 2;
struct SyncCancel {
  uint64_t addr;
  int32_t fd;
  uint32_t flags;
  int64_t tv_sec;
  int64_t tv_nsec;
  uint64_t pad[4];
};

long Make(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  return Invoke({number, {a, b, c, d, e, f}});
}

long Address(const void* at) { return reinterpret_cast<long>(at); }

}  // namespace

struct Ring {
  napi_env env = nullptr;
  int fd = -1;
  int event = -1;
  io_uring_params params{};
  char* rings = nullptr;
  size_t rings_length = 0;
  void* entries = nullptr;
  size_t entries_length = 0;

  std::shared_ptr<Loop> loop;
  LoopHandle* watch = nullptr;
  LoopHandle* before_waiting = nullptr;
  bool held = false;
  Reference on_completions;

  unsigned* At(uint32_t offset) const { return reinterpret_cast<unsigned*>(rings + offset); }

  unsigned Unsubmitted() const {
    return *At(params.sq_off.tail) - __atomic_load_n(At(params.sq_off.head), __ATOMIC_ACQUIRE);
  }

  bool HasCompletions() const {
    return *At(params.cq_off.head) != __atomic_load_n(At(params.cq_off.tail), __ATOMIC_ACQUIRE);
  }

  long Enter(unsigned submit, unsigned least, unsigned flags) const {
    for (;;) {
      const long result = Make(__NR_io_uring_enter, fd, submit, least, flags);
      if (result != -EINTR) return result;
    }
  }

  // Submits what has been written, and with `collect` lets the kernel post what is finished. A queue of completions that
  // is full, and want of memory, end when JavaScript has taken completions: the next turn tries again.
  long Submit(bool collect) const {
    const unsigned count = Unsubmitted();
    unsigned flags = collect ? static_cast<unsigned>(IORING_ENTER_GETEVENTS) : 0U;
    if (count == 0 && flags == 0) return 0;
    const long result = Enter(count, 0, flags);
    if (result != -EBUSY && result != -EAGAIN) return result;
    Enter(0, 0, IORING_ENTER_GETEVENTS);
    const uint64_t again = 1;
    if (write(event, &again, sizeof again) < 0) return result;
    return result;
  }

  bool MustCollect() const {
    const unsigned flags = __atomic_load_n(At(params.sq_off.flags), __ATOMIC_RELAXED);
    return (flags & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN)) != 0;
  }

  // -- the loop's side --

  void OnEvent() {
    uint64_t count;
    if (read(event, &count, sizeof count) < 0) return;
    if (MustCollect()) Submit(true);
    // The kernel does only so much of what is left to do at once, and signals again only where that posted a completion.
    if (MustCollect()) {
      const uint64_t again = 1;
      if (write(event, &again, sizeof again) < 0) return;
    }
    if (!HasCompletions()) return;
    loop->Enter([this] {
      napi_value callback;
      if (on_completions.Get(env, &callback)) loop->CallBack(callback, 0, nullptr);
    });
  }

  // -- life --

  long Open(unsigned submissions, unsigned completions) {
    constexpr unsigned kBasic = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    // The first is for kernels from 6.1: completions are posted only when we ask, in one go, and interrupt nothing.
    constexpr unsigned kWishes[] = {
        kBasic | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SINGLE_ISSUER |
            IORING_SETUP_DEFER_TASKRUN,
        kBasic | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_COOP_TASKRUN,
        kBasic,
    };
    long result = -EINVAL;
    for (const unsigned flags : kWishes) {
      params = {};
      params.flags = flags;
      params.cq_entries = completions;
      result = Make(__NR_io_uring_setup, submissions, Address(&params));
      if (result != -EINVAL) break;
    }
    if (result < 0) return result;
    fd = static_cast<int>(result);
    // One mapping for both queues, and completions that are never lost: Linux 5.5. An operation on a socket or pipe waits
    // without a thread: 5.7.
    constexpr unsigned kNeeded = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE |
                                 IORING_FEAT_FAST_POLL | IORING_FEAT_EXT_ARG;
    if ((params.features & kNeeded) != kNeeded) return -ENOSYS;
    rings_length = std::max(params.sq_off.array + params.sq_entries * sizeof(unsigned),
                            params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe));
    entries_length = params.sq_entries * sizeof(io_uring_sqe);
    const int protection = PROT_READ | PROT_WRITE;
    void* mapped = mmap(nullptr, rings_length, protection, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQ_RING);
    if (mapped == MAP_FAILED) return -errno;
    rings = static_cast<char*>(mapped);
    mapped = mmap(nullptr, entries_length, protection, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQES);
    if (mapped == MAP_FAILED) return -errno;
    entries = mapped;
    // Entries are submitted in the order in which they stand.
    for (unsigned i = 0; i < params.sq_entries; i++) At(params.sq_off.array)[i] = i;
    event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event < 0) return -errno;
    return Make(__NR_io_uring_register, fd, IORING_REGISTER_EVENTFD, Address(&event), 1);
  }

  void Free() {
    if (rings != nullptr) munmap(rings, rings_length);
    if (entries != nullptr) munmap(entries, entries_length);
    rings = nullptr;
    entries = nullptr;
    if (event >= 0) close(event);
    if (fd >= 0) close(fd);
    event = fd = -1;
  }

  bool Watch() {
    loop = Environment::Get(env)->loop;
    watch = loop->OnEvents(event, UV_READABLE, [this](int) { OnEvent(); });
    if (watch == nullptr) return false;
    before_waiting = loop->BeforeWaiting([this](int) {
      if (Unsubmitted() != 0) Submit(false);
    });
    return before_waiting != nullptr;
  }

  void Hold(bool hold) {
    held = hold;
    watch->Keep(hold);
  }

  // Whether the kernel has let go of all memory that was lent to it. What no cancellation ends (a disk that does not
  // answer) must not hang the process's exit, and so is given two seconds.
  bool Drain() const {
    if (!held) return true;
    Submit(true);
    SyncCancel cancel{};
    cancel.fd = -1;
    cancel.flags = kCancelAll | kCancelAny;
    cancel.tv_sec = 2;
    const long result = Make(__NR_io_uring_register, fd, kRegisterSyncCancel, Address(&cancel), 1);
    Enter(0, 0, IORING_ENTER_GETEVENTS);
    return result >= 0 || result == -ENOENT;
  }

  void Close() {
    on_completions.Clear(env);
    // Before what it watches.
    if (watch != nullptr) watch->Close();
    if (before_waiting != nullptr) before_waiting->Close();
    Free();
  }
};

namespace {

// The environment goes, with rings that nobody has closed.
void CloseRings(Environment* environment) {
  for (auto& entry : environment->rings) {
    if (!entry.second->Drain()) environment->kernel_holds_memory = true;
    entry.second->Close();
    delete entry.second;
  }
  environment->rings.clear();
}

uint32_t Unsigned(napi_env env, napi_value value) {
  uint32_t number = 0;
  napi_get_value_uint32(env, value, &number);
  return number;
}

Ring* RingOf(napi_env env, napi_value value) {
  int32_t fd = -1;
  napi_get_value_int32(env, value, &fd);
  auto& rings = Environment::Get(env)->rings;
  const auto found = rings.find(fd);
  if (found == rings.end()) {
    ThrowRange(env, "ERR_OUT_OF_RANGE", "ring: %d is closed or never was", fd);
    return nullptr;
  }
  return found->second;
}

void Set(napi_env env, napi_value object, const char* name, uint32_t number) {
  napi_value value;
  napi_create_uint32(env, number, &value);
  napi_set_named_property(env, object, name, value);
}

bool SetMemory(napi_env env, napi_value object, const char* name, void* memory, size_t length) {
  napi_value value;
  // Nothing is to be done when it is collected: the ring unmaps it, after JavaScript has let go.
  return napi_create_external_arraybuffer(env, memory, length, nullptr, nullptr, &value) == napi_ok &&
         napi_set_named_property(env, object, name, value) == napi_ok;
}

// openRing(submissions, completions, onCompletions): what JavaScript needs to know of it, or -errno.
napi_value OpenRing(napi_env env, napi_callback_info info) {
  size_t count = 3;
  napi_value values[3], result;
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  napi_valuetype type = napi_undefined;
  if (count == 3) napi_typeof(env, values[2], &type);
  if (type != napi_function) {
    ThrowType(env, "ERR_INVALID_ARG_TYPE", "openRing(submissions, completions, onCompletions)");
    return nullptr;
  }
  auto* ring = new Ring;
  ring->env = env;
  long error = ring->Open(Unsigned(env, values[0]), Unsigned(env, values[1]));
  if (error >= 0 && !ring->Watch()) error = -ENOMEM;
  if (error < 0) {
    ring->Close();
    delete ring;
    napi_create_int32(env, static_cast<int32_t>(error), &result);
    return result;
  }
  ring->on_completions.Set(env, values[2]);
  Environment::Get(env)->rings.emplace(ring->fd, ring);

  const io_uring_params& params = ring->params;
  napi_create_object(env, &result);
  Set(env, result, "fd", static_cast<uint32_t>(ring->fd));
  Set(env, result, "flags", params.flags);
  Set(env, result, "features", params.features);
  Set(env, result, "sqEntries", params.sq_entries);
  Set(env, result, "cqEntries", params.cq_entries);
  Set(env, result, "sqHead", params.sq_off.head);
  Set(env, result, "sqTail", params.sq_off.tail);
  Set(env, result, "sqFlags", params.sq_off.flags);
  Set(env, result, "cqHead", params.cq_off.head);
  Set(env, result, "cqTail", params.cq_off.tail);
  Set(env, result, "cqOverflow", params.cq_off.overflow);
  Set(env, result, "cqes", params.cq_off.cqes);
  SetMemory(env, result, "rings", ring->rings, ring->rings_length);
  SetMemory(env, result, "sqes", ring->entries, ring->entries_length);
  return result;
}

// submitRing(ring, collect): submits now what has been written; the number of entries, or -errno.
napi_value SubmitRing(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value values[2], result;
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  const Ring* ring = RingOf(env, values[0]);
  if (ring == nullptr) return nullptr;
  bool collect = false;
  if (count == 2) napi_get_value_bool(env, values[1], &collect);
  napi_create_int32(env, static_cast<int32_t>(ring->Submit(collect)), &result);
  return result;
}

// holdRing(ring, pending): whether it is to keep the loop alive.
napi_value HoldRing(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value values[2];
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  Ring* ring = RingOf(env, values[0]);
  bool hold = false;
  if (count == 2) napi_get_value_bool(env, values[1], &hold);
  if (ring != nullptr) ring->Hold(hold);
  return nullptr;
}

// closeRing(ring, rings, sqes): detaches its memory and closes it. False where something in flight could not be ended.
napi_value CloseRing(napi_env env, napi_callback_info info) {
  size_t count = 3;
  napi_value values[3], result;
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  Ring* ring = RingOf(env, values[0]);
  if (ring == nullptr) return nullptr;
  Environment::Get(env)->rings.erase(ring->fd);
  const bool drained = ring->Drain();
  for (size_t i = 1; i < count; i++) napi_detach_arraybuffer(env, values[i]);
  ring->Close();
  delete ring;
  napi_get_boolean(env, drained, &result);
  return result;
}

}  // namespace

void InitRing(napi_env env, napi_value exports) {
  Environment* environment = Environment::Get(env);
  environment->loop->AtEnd([environment] { CloseRings(environment); });
  const napi_property_descriptor properties[] = {
      {"openRing", nullptr, OpenRing, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"submitRing", nullptr, SubmitRing, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"holdRing", nullptr, HoldRing, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"closeRing", nullptr, CloseRing, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
  };
  napi_define_properties(env, exports, sizeof properties / sizeof *properties, properties);
}

}  // namespace effect_linux
