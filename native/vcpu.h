// A guest on a thread of its own, entered when JavaScript tells it to: the short way beside the queue of pool.h, for
// guests that stop every few microseconds. Order and answer are two words in memory; both sides look at them for a moment
// before they sleep, where that has paid of late.
#ifndef EFFECT_LINUX_VCPU_H_
#define EFFECT_LINUX_VCPU_H_

#include <node_api.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "bus.h"
#include "operation.h"

namespace effect_linux {

class Runner;

// How long to look before sleeping, from how it went the last times.
class Patience {
 public:
  // Nanoseconds; 0: do not look.
  int64_t Next();
  void Paid() { misses_ = 0; }
  void Missed();

 private:
  uint32_t misses_ = 0;   // in a row
  uint32_t skipped_ = 0;  // since the last one
};

class Vcpu {
 public:
  // What Enter answers while the guest goes on; no result of KVM_RUN.
  static constexpr long kPending = 1;
  static constexpr uint64_t kRung = 1;

  enum What { kAnswer = 0, kBell = 1 };

  // Takes the mapping of the run page over.
  Vcpu(OwnThread* own, int fd, unsigned long request, kvm_run* page, size_t length);
  ~Vcpu();
  Vcpu(const Vcpu&) = delete;

  // -- on the JavaScript thread --

  // Has the guest entered: what KVM_RUN answered, if it did at once.
  long Enter();
  // Delivers an operation when there is what it waits for; what is there already is returned, and the operation is free.
  long Listen(Runner& runner, What what, const OperationPtr& operation);
  void Mute(Runner& runner);
  // The run that goes on, or is about to, answers EINTR.
  void Stop();
  // For a guest at rest.
  void SetBus(const Bus& bus) { bus_ = bus; }
  // The thread is to end.
  void End();

  // -- on the guest's thread --

  // Before it sleeps, with the lock held: whether there is something to do instead.
  bool Sleep();
  // After that: the same.
  bool Rise();
  // Runs the guest as often as it is told to, until it has not been for a while.
  void Serve(Runner& runner);
  // A signal that came too late for a run must not end what is done next.
  void TakeLateSignal();

 private:
  bool Ordered() const { return ordered_.load(std::memory_order_acquire) != answered_.load(std::memory_order_relaxed); }
  bool Answered() const { return ordered_.load(std::memory_order_relaxed) == answered_.load(std::memory_order_acquire); }
  void Run(Runner& runner);
  bool LookForOrder();
  void Ring(Runner& runner, What what, uint64_t mark, long result);

  OwnThread* const own_;
  const SystemCall call_;
  kvm_run* const page_;
  const size_t length_;
  Bus bus_;

  // Changed by JavaScript, which gives an order only when the last one is answered.
  alignas(64) std::atomic<uint32_t> ordered_{0};
  volatile int cancelled_ = 0;
  std::atomic<bool> signalled_{false};
  // 0 where nobody listens; for an answer one more than the order that it is to, as the thread may be late with that to the
  // order before; 1 for the bell.
  std::atomic<uint64_t> listening_[2] = {};
  OperationPtr listeners_[2];   // whoever clears `listening_` has them
  std::mutex listeners_mutex_;  // none is put down while the one before is being taken
  std::atomic<int> javascript_at_{-1};  // the processor
  Patience for_answer_;

  // Changed by the thread.
  alignas(64) std::atomic<uint32_t> answered_{0};
  long result_ = 0;
  std::atomic<bool> asleep_{true};
  std::atomic<bool> inside_{false};  // it is in the kernel, or about to be
  std::atomic<bool> ending_{false};
  std::atomic<int64_t> typical_{0};  // nanoseconds from order to answer, of late
  std::atomic<int> thread_at_{-1};   // the processor
  Patience for_order_;
};

struct Environment;

void InitVcpu(napi_env env, napi_value exports);

}  // namespace effect_linux

#endif  // EFFECT_LINUX_VCPU_H_
