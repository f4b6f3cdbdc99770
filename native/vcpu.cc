#include "vcpu.h"

#include <asm/unistd.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "arguments.h"
#include "environment.h"
#include "interrupt.h"
#include "pool.h"

namespace effect_linux {

namespace {

// An answer that takes longer than this on average is not looked for: the loop is quick enough then.
constexpr int64_t kQuick = 30'000;
// The longest look of either side. A thread that is asleep costs about this much to wake.
constexpr int64_t kLook = 60'000;
// So many misses in a row, and it looks more rarely: twice as rarely with each further one.
constexpr uint32_t kMisses = 4;
constexpr uint32_t kMostSkipped = 4;

int64_t Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

void Relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  asm volatile("yield");
#endif
}

int Processors() {
  static const int count = [] {
    cpu_set_t set;
    CPU_ZERO(&set);
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  }();
  return count;
}

// Guests' threads that look for orders: never so many that there is no processor for who gives them.
std::atomic<int> looking{0};

// Looks until it is true, or the time is up. `other` is the processor that the other side was last seen on: on the same
// one it could do nothing meanwhile, so it is let go first.
template <typename Test>
bool Look(int64_t nanoseconds, const std::atomic<int>& other, const Test& test) {
  if (test()) return true;
  const int64_t until = Now() + nanoseconds;
  do {
    if (other.load(std::memory_order_relaxed) == sched_getcpu()) {
      sched_yield();
    } else {
      for (int i = 0; i < 20 && !test(); i++) Relax();
    }
    if (test()) return true;
  } while (Now() < until);
  return false;
}

}  // namespace

int64_t Patience::Next() {
  if (misses_ < kMisses) return kLook;
  const uint32_t skip = std::min(kMostSkipped, 1U << std::min(misses_ - kMisses + 1, 16U));
  if (++skipped_ < skip) return 0;
  skipped_ = 0;
  return kLook;
}

void Patience::Missed() {
  if (misses_ < 1000) misses_++;
}

Vcpu::Vcpu(OwnThread* own, int fd, unsigned long request, kvm_run* page, size_t length)
    : own_(own), call_{__NR_ioctl, {fd, static_cast<long>(request), 0, 0, 0, 0}}, page_(page), length_(length) {}

Vcpu::~Vcpu() { munmap(page_, length_); }

// ---------------------------------------------------------------------------------------------------------------------
// On the JavaScript thread
// ---------------------------------------------------------------------------------------------------------------------

long Vcpu::Enter() {
  if (!ending_.load()) __atomic_store_n(&cancelled_, 0, __ATOMIC_RELAXED);
  javascript_at_.store(sched_getcpu(), std::memory_order_relaxed);
  ordered_.fetch_add(1, std::memory_order_seq_cst);
  // One that has to wake may do so on the processor that this thread has.
  const bool asleep = asleep_.load(std::memory_order_seq_cst);
  if (asleep) {
    { std::lock_guard<std::mutex> lock(own_->mutex); }
    own_->wake.notify_one();
  }
  const int64_t typical = typical_.load(std::memory_order_relaxed);
  const int64_t patience = !asleep && typical < kQuick && Processors() > 1 ? for_answer_.Next() : 0;
  if (patience > 0) {
    if (Look(patience, thread_at_, [&] { return Answered(); })) {
      for_answer_.Paid();
      return result_;
    }
    for_answer_.Missed();
  }
  return Answered() ? result_ : kPending;
}

long Vcpu::Listen(Runner& runner, What what, const OperationPtr& operation) {
  const uint32_t order = ordered_.load(std::memory_order_relaxed);
  {
    std::lock_guard<std::mutex> lock(listeners_mutex_);
    listeners_[what] = operation;
    listening_[what].store(what == kBell ? kRung : uint64_t{order} + 1, std::memory_order_seq_cst);
  }
  if (what == kBell || answered_.load(std::memory_order_seq_cst) != order) return kPending;
  if (listening_[what].exchange(0) == 0) return kPending;
  listeners_[what] = nullptr;
  runner.Forget(operation);
  return result_;
}

void Vcpu::Mute(Runner& runner) {
  if (listening_[kBell].exchange(0) == 0) return;
  const OperationPtr operation = std::move(listeners_[kBell]);
  runner.Forget(operation);
}

void Vcpu::Stop() {
  __atomic_store_n(&cancelled_, 1, __ATOMIC_SEQ_CST);
  page_->immediate_exit = 1;
  signalled_.store(true, std::memory_order_seq_cst);
  if (inside_.load(std::memory_order_seq_cst)) pthread_kill(own_->thread, InterruptSignal());
}

void Vcpu::End() {
  ending_.store(true);
  Stop();
}

// ---------------------------------------------------------------------------------------------------------------------
// On the guest's thread
// ---------------------------------------------------------------------------------------------------------------------

bool Vcpu::Sleep() {
  asleep_.store(true, std::memory_order_seq_cst);
  return ordered_.load(std::memory_order_seq_cst) != answered_.load(std::memory_order_relaxed);
}

bool Vcpu::Rise() {
  asleep_.store(false, std::memory_order_relaxed);
  return Ordered();
}

void Vcpu::TakeLateSignal() {
  if (signalled_.exchange(false)) Invoke({__NR_getpid, {}});
}

void Vcpu::Ring(Runner& runner, What what, uint64_t mark, long result) {
  if (listening_[what].load(std::memory_order_seq_cst) != mark) return;
  OperationPtr operation;
  {
    std::lock_guard<std::mutex> lock(listeners_mutex_);
    if (!listening_[what].compare_exchange_strong(mark, 0)) return;
    operation = std::move(listeners_[what]);
  }
  operation->Finish(result);
  runner.HandIn(std::move(operation));
}

void Vcpu::Run(Runner& runner) {
  const uint32_t order = ordered_.load(std::memory_order_acquire);
  TakeLateSignal();
  const int64_t from = Now();
  long result;
  for (;;) {
    inside_.store(true, std::memory_order_seq_cst);
    result = InvokeInterruptible(&cancelled_, call_);
    inside_.store(false, std::memory_order_release);
    // It waited for another vCPU to start it, and was started: the kernel wants to be asked again.
    if (result == -EAGAIN) continue;
    bool bell = false;
    if (result != 0 || !bus_.Answer(page_, &bell)) break;
    if (bell) Ring(runner, kBell, kRung, 0);
  }
  const int64_t typical = typical_.load(std::memory_order_relaxed);
  typical_.store(typical + (std::min<int64_t>(Now() - from, 8 * kQuick) - typical) / 8, std::memory_order_relaxed);
  result_ = result;
  thread_at_.store(sched_getcpu(), std::memory_order_relaxed);
  answered_.store(order, std::memory_order_seq_cst);
  Ring(runner, kAnswer, uint64_t{order} + 1, result);
}

void Vcpu::Serve(Runner& runner) {
  for (;;) {
    Run(runner);
    if (LookForOrder()) continue;
    // At the last moment: it would be told to wake, and is awake.
    if (!Ordered()) return;
  }
}

bool Vcpu::LookForOrder() {
  if (typical_.load(std::memory_order_relaxed) >= kQuick) return false;
  if (looking.fetch_add(1, std::memory_order_relaxed) >= Processors() - 1) {
    looking.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  const int64_t patience = for_order_.Next();
  const bool seen = patience > 0 && Look(patience, javascript_at_, [&] { return Ordered() || ending_.load(std::memory_order_relaxed); });
  looking.fetch_sub(1, std::memory_order_relaxed);
  if (seen) for_order_.Paid();
  if (!seen && patience > 0) for_order_.Missed();
  return seen && Ordered();
}

// ---------------------------------------------------------------------------------------------------------------------
// What JavaScript sees
// ---------------------------------------------------------------------------------------------------------------------

namespace {

Runner& RunnerOf(napi_env env) { return *Environment::Get(env)->runner; }

struct Given {
  size_t count;
  napi_value values[5];
  std::shared_ptr<OwnThread> own;  // null: an exception is pending
};

Given GivenTo(napi_env env, napi_callback_info info, bool attached = true) {
  Given given{5, {}, nullptr};
  napi_get_cb_info(env, info, &given.count, given.values, nullptr, nullptr);
  uint32_t id = 0;
  if (given.count > 0) napi_get_value_uint32(env, given.values[0], &id);
  given.own = RunnerOf(env).Find(id);
  if (given.own == nullptr || (attached && given.own->vcpu == nullptr)) {
    ThrowRange(env, "ERR_OUT_OF_RANGE", "thread: %u is closed or has no guest", id);
    given.own = nullptr;
  }
  return given;
}

uint64_t Word(napi_env env, napi_value value) {
  uint64_t word = 0;
  bool lossless = false;
  int64_t number = 0;
  if (napi_get_value_bigint_uint64(env, value, &word, &lossless) == napi_ok) return word;
  napi_get_value_int64(env, value, &number);
  return static_cast<uint64_t>(number);
}

// attachVcpu(thread, fd, request, length): 0, or -errno
napi_value Attach(napi_env env, napi_callback_info info) {
  const Given given = GivenTo(env, info, false);
  if (given.own == nullptr) return nullptr;
  const napi_value* values = given.values;
  const size_t length = given.count < 4 ? 0 : Word(env, values[3]);
  if (length < sizeof(kvm_run) || !RunnerOf(env).Open()) {
    ThrowRange(env, "ERR_OUT_OF_RANGE", "attachVcpu(thread, fd, request, length)");
    return nullptr;
  }
  const int fd = static_cast<int>(Word(env, values[1]));
  // A mapping of its own: what JavaScript has of the run page goes before the thread does, when an environment goes.
  void* page = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (page == MAP_FAILED) return MakeResult(env, -errno);
  auto vcpu = std::make_shared<Vcpu>(given.own.get(), fd, Word(env, values[2]), static_cast<kvm_run*>(page), length);
  std::lock_guard<std::mutex> lock(given.own->mutex);
  given.own->vcpu = std::move(vcpu);
  return MakeResult(env, 0);
}

// enterVcpu(thread): what KVM_RUN answered, or 1 while the guest goes on
napi_value Enter(napi_env env, napi_callback_info info) {
  const Given given = GivenTo(env, info);
  return given.own == nullptr ? nullptr : MakeResult(env, given.own->vcpu->Enter());
}

// tellVcpu(thread, what, callback): calls back, or answers what is there
napi_value Tell(napi_env env, napi_callback_info info) {
  const Given given = GivenTo(env, info);
  if (given.own == nullptr) return nullptr;
  uint32_t what = 0;
  napi_valuetype type = napi_undefined;
  napi_get_value_uint32(env, given.values[1], &what);
  napi_typeof(env, given.values[2], &type);
  if (what > Vcpu::kBell || type != napi_function) {
    ThrowType(env, "ERR_INVALID_ARG_TYPE", "tellVcpu(thread, what, callback)");
    return nullptr;
  }
  Runner& runner = RunnerOf(env);
  auto operation = std::make_shared<Operation>();
  runner.Register(operation, given.values[2]);
  return MakeResult(env, given.own->vcpu->Listen(runner, static_cast<Vcpu::What>(what), operation));
}

// The guest of a thread that may be closed by now: what is to be ended has ended then.
std::shared_ptr<Vcpu> MaybeOf(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value value;
  uint32_t id = 0;
  napi_get_cb_info(env, info, &count, &value, nullptr, nullptr);
  if (count > 0) napi_get_value_uint32(env, value, &id);
  const std::shared_ptr<OwnThread> own = RunnerOf(env).Find(id);
  return own == nullptr ? nullptr : own->vcpu;
}

// muteVcpu(thread)
napi_value MuteBell(napi_env env, napi_callback_info info) {
  const std::shared_ptr<Vcpu> vcpu = MaybeOf(env, info);
  if (vcpu != nullptr) vcpu->Mute(RunnerOf(env));
  return nullptr;
}

// stopVcpu(thread)
napi_value StopGuest(napi_env env, napi_callback_info info) {
  const std::shared_ptr<Vcpu> vcpu = MaybeOf(env, info);
  if (vcpu != nullptr) vcpu->Stop();
  return nullptr;
}

// busOfVcpu(thread, table, count, ring)
napi_value SetBus(napi_env env, napi_callback_info info) {
  const Given given = GivenTo(env, info);
  if (given.own == nullptr) return nullptr;
  Bus bus;
  bus.ranges = reinterpret_cast<const BusRange*>(Word(env, given.values[1]));
  bus.count = Word(env, given.values[2]);
  bus.ring = reinterpret_cast<BusRing*>(Word(env, given.values[3]));
  given.own->vcpu->SetBus(bus);
  return nullptr;
}

}  // namespace

void InitVcpu(napi_env env, napi_value exports) {
  const napi_property_descriptor properties[] = {
      {"attachVcpu", nullptr, Attach, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"enterVcpu", nullptr, Enter, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"tellVcpu", nullptr, Tell, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"muteVcpu", nullptr, MuteBell, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"stopVcpu", nullptr, StopGuest, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"busOfVcpu", nullptr, SetBus, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
  };
  napi_define_properties(env, exports, sizeof properties / sizeof *properties, properties);
}

}  // namespace effect_linux
