// Who makes the calls that would hold JavaScript up: a pool of threads, which come and go with the work there is, and
// threads of their own for callers that need the same one every time (a vCPU). One Runner for each environment, so that
// a worker that ends joins its own threads and nobody else's, and none waits for another's calls.
#ifndef EFFECT_LINUX_POOL_H_
#define EFFECT_LINUX_POOL_H_

#include <node_api.h>

#include <atomic>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "operation.h"

namespace effect_linux {

class Loop;
class LoopHandle;
class Runner;
class Vcpu;

// How many bounded calls are made at once, if nobody says otherwise. The calls wait in the kernel and use no processor,
// so the number of processors plays no part: it is as deep a queue as a disk makes good use of.
constexpr uint32_t kDefaultThreads = 64;
constexpr uint32_t kMostThreads = 1024;

// A thread of the pool, as it waits for work.
struct PoolThread {
  std::atomic<uint32_t> woken{0};  // a futex
  OperationPtr operation;          // what it is woken for; null: to end
};

// A thread that lives until it is closed and runs what it is given, in order.
struct OwnThread {
  std::mutex mutex;
  std::condition_variable wake;
  std::list<OperationPtr> queue;
  OperationPtr current;
  OperationPtr closing;  // completed by the thread as the last thing it does
  pthread_t thread{};
  std::shared_ptr<Runner> runner;  // given back when the thread ends
  std::shared_ptr<Vcpu> vcpu;      // the guest that it enters, beside what is in the queue; null: none
};

class Runner : public std::enable_shared_from_this<Runner> {
 public:
  Runner(napi_env env, std::shared_ptr<Loop> loop);
  ~Runner();

  // -- on the JavaScript thread --

  // False where threads cannot be heard, for want of a descriptor.
  bool Open();

  // Keeps the event loop alive until the operation is delivered: its callback is called with the result.
  uint32_t Register(const OperationPtr& operation, napi_value callback);
  void Enqueue(const OperationPtr& operation);
  // The call returns EINTR as soon as the kernel lets go of it; one that has not begun at once.
  void Interrupt(uint32_t id);
  // The operation is over without having been begun.
  void Refuse(const OperationPtr& operation, long result);

  // An id, or -errno; null for one that is closed or never was.
  int64_t OpenThread();
  std::shared_ptr<OwnThread> Find(uint32_t thread) const;
  void CloseThread(uint32_t thread, napi_value callback);

  // What is registered is not delivered any more; it is with nobody else.
  void Forget(const OperationPtr& operation);

  void SetThreads(uint32_t count);

  // -- on any thread --

  // A registered operation, which is over, is to be delivered.
  void HandIn(OperationPtr operation);

  // -- on the JavaScript thread --

  // The environment goes. What is still in the kernel is called back, and waited for: it may be writing to memory that
  // goes with the environment's thread.
  void TearDown();

 private:
  struct Completion {
    OperationPtr operation;
    bool ends_thread = false;  // the thread of its own that made it is on its way out and is to be joined
    pthread_t thread{};
  };
  struct Job;

  void Drain();
  void Deliver(Operation& operation);
  void Spread();
  bool Queue(const OperationPtr& operation);
  void Append(const OperationPtr& operation);
  std::vector<OperationPtr> TakeAll();
  void Start(const OperationPtr& operation);
  void Withdraw(const OperationPtr& operation);
  static void End(OwnThread& thread, OperationPtr closing);

  static void* Pooled(void* job);
  static void* Own(void* thread);
  OperationPtr Next(OperationPtr done, const std::shared_ptr<PoolThread>& self);
  bool Complete(Completion completion);
  void Tell();
  OperationPtr Take();
  bool MayRun(const Operation& operation) const { return !operation.bounded || busy_ < allowed_; }

  const napi_env env_;
  const std::shared_ptr<Loop> loop_;
  int event_ = -1;                // told when there are completions
  LoopHandle* watch_ = nullptr;   // of it
  LoopHandle* stalled_ = nullptr; // the timer that looks whether the pool is
  bool looking_ = false;          // that it is started
  std::unordered_map<uint32_t, OperationPtr> operations_;  // JavaScript thread only
  std::unordered_map<uint32_t, std::shared_ptr<OwnThread>> threads_;
  uint32_t next_id_ = 1;
  uint64_t answered_before_ = 0;

  std::mutex mutex_;  // guards what follows; taken after that of an OwnThread
  std::condition_variable thread_ended_;
  bool gone_ = false;  // it is torn down: a thread that ends after that is joined by nobody
  bool alive_ = true;  // false once the environment is being torn down: nobody is left to tell
  std::list<OperationPtr> queue_;
  std::vector<Completion> completions_;
  std::vector<std::shared_ptr<PoolThread>> idle_;  // the last to have become so last, and the first to be woken
  size_t running_ = 0;      // threads of both kinds
  size_t pooled_ = 0;       // those of the pool
  size_t busy_ = 0;         // bounded calls being made
  size_t size_ = kDefaultThreads;
  size_t allowed_ = kDefaultThreads;  // how many there may be: more than size_ when that was found stuck
  uint64_t answered_ = 0;   // bounded calls that have come back
  // Each thread of the pool that ends joins the one before, so that there is never more than one to be joined.
  bool has_ended_ = false;
  pthread_t ended_{};
};

}  // namespace effect_linux

#endif  // EFFECT_LINUX_POOL_H_
