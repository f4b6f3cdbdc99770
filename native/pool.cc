#include "pool.h"

#include <asm/unistd.h>
#include <linux/futex.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>

#include "interrupt.h"
#include "loop.h"
#include "vcpu.h"

namespace effect_linux {

namespace {

// How long a thread without work waits for more. Starting one costs several hops, an idle one a few pages. It sleeps
// all that time: looking for work a few microseconds longer before it does gains nothing, and takes a processor from
// JavaScript where there are few.
constexpr long kIdleNanoseconds = 250'000'000;

// A pool whose calls wait for one that stands behind them in the queue must not stand still for good: when none has
// come back for as long as this, twice as many are made at once, up to kMostThreads.
constexpr uint64_t kStalledMilliseconds = 50;

// Results that are handed over in one turn of the loop.
constexpr size_t kMostAtOnce = 512;

// After so long the loop has its turn: who is told a result may make much of it.
constexpr std::chrono::milliseconds kMostTime{2};

// What the kernel means by a timespec in the call that __NR_futex is, on every architecture.
struct Span {
  long seconds;
  long nanoseconds;
};

// Sleeps until the word is 1; false if that took longer than the idle time.
bool Wait(std::atomic<uint32_t>* word, bool for_ever) {
  const Span idle{0, kIdleNanoseconds};
  while (word->load(std::memory_order_acquire) == 0) {
    const long result = Invoke({__NR_futex,
                                {reinterpret_cast<long>(word), FUTEX_WAIT_PRIVATE, 0,
                                 for_ever ? 0 : reinterpret_cast<long>(&idle), 0, 0}});
    if (result == -ETIMEDOUT) return word->load(std::memory_order_acquire) != 0;
  }
  return true;
}

void Wake(PoolThread* thread) {
  Invoke({__NR_futex, {reinterpret_cast<long>(&thread->woken), FUTEX_WAKE_PRIVATE, 1, 0, 0, 0}});
}

// EFFECT_LINUX_THREADS, where it is a number that makes sense.
size_t ConfiguredThreads() {
  const char* text = getenv("EFFECT_LINUX_THREADS");
  if (text == nullptr) return kDefaultThreads;
  char* end = nullptr;
  const unsigned long count = strtoul(text, &end, 10);
  return end == text || *end != '\0' || count < 1 || count > kMostThreads ? kDefaultThreads : count;
}

}  // namespace

// What a thread of the pool is started with.
struct Runner::Job {
  std::shared_ptr<Runner> runner;
  OperationPtr operation;
};

Runner::Runner(napi_env env, std::shared_ptr<Loop> loop) : env_(env), loop_(std::move(loop)) {
  size_ = allowed_ = ConfiguredThreads();
  Open();
}

Runner::~Runner() {
  if (event_ >= 0) close(event_);
}

// ---------------------------------------------------------------------------------------------------------------------
// On the JavaScript thread
// ---------------------------------------------------------------------------------------------------------------------

// The way back to the loop. There at once, as the first call may come when no descriptor is left.
bool Runner::Open() {
  if (watch_ != nullptr) return true;
  if (event_ < 0) event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event_ < 0) return false;
  // The loop's callbacks live as long as the handles, which are closed before the Runner goes.
  watch_ = loop_->OnEvents(event_, UV_READABLE, [this](int) { Drain(); });
  if (stalled_ == nullptr) stalled_ = loop_->Timer([this](int) { Spread(); });
  return watch_ != nullptr && stalled_ != nullptr;
}

uint32_t Runner::Register(const OperationPtr& operation, napi_value callback) {
  operation->callback.Set(env_, callback);
  do operation->id = next_id_++;
  while (operation->id == 0 || operations_.count(operation->id) != 0 || threads_.count(operation->id) != 0);
  operations_.emplace(operation->id, operation);
  if (operations_.size() == 1) watch_->Keep(true);
  return operation->id;
}

void Runner::Enqueue(const OperationPtr& operation) {
  if (operation->own != nullptr) {
    OwnThread& own = *operation->own;
    {
      std::lock_guard<std::mutex> lock(own.mutex);
      operation->place = own.queue.insert(own.queue.end(), operation);
      operation->in_queue = true;
    }
    own.wake.notify_one();
    return;
  }
  if (operation->bounded && Queue(operation)) return;
  Start(operation);
}

// Puts a bounded operation into the queue, where its turn has not come.
bool Runner::Queue(const OperationPtr& operation) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (queue_.empty() && MayRun(*operation)) return false;
    Append(operation);
    if (!looking_) answered_before_ = answered_;
  }
  if (!looking_) stalled_->Start(kStalledMilliseconds, kStalledMilliseconds);
  looking_ = true;
  return true;
}

// With the lock held.
void Runner::Append(const OperationPtr& operation) {
  operation->place = queue_.insert(queue_.end(), operation);
  operation->in_queue = true;
}

// Gives an operation that is in no queue to a thread.
void Runner::Start(const OperationPtr& operation) {
  const auto hand_over = [&] {
    if (idle_.empty()) return std::shared_ptr<PoolThread>();
    std::shared_ptr<PoolThread> thread = std::move(idle_.back());
    idle_.pop_back();
    thread->operation = operation;
    thread->woken.store(1, std::memory_order_release);
    return thread;
  };
  std::shared_ptr<PoolThread> idle;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (operation->bounded) busy_++;
    idle = hand_over();
    if (idle == nullptr) {
      running_++;
      pooled_++;
    }
  }
  if (idle == nullptr) {
    auto* job = new Job{shared_from_this(), operation};
    pthread_t thread;
    const int error = StartThread(&thread, Pooled, job);
    if (error == 0) return;
    delete job;
    std::unique_lock<std::mutex> lock(mutex_);
    running_--;
    pooled_--;
    idle = hand_over();  // one that has come free meanwhile
    if (idle == nullptr) {
      if (operation->bounded) busy_--;
      // The system has no more threads to give. With others at work one of them comes to it; with none it fails.
      if (pooled_ > 0) return Append(operation);
      lock.unlock();
      return Refuse(operation, -error);
    }
  }
  Wake(idle.get());
}

// The timer's: nothing has come back since it last looked, although there is more to do.
void Runner::Spread() {
  std::vector<OperationPtr> more;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (queue_.empty()) {
      looking_ = false;
    } else if (answered_ == answered_before_) {
      allowed_ = std::max(allowed_, std::min<size_t>(allowed_ * 2, kMostThreads));
      more = TakeAll();
    }
    answered_before_ = answered_;
  }
  if (!looking_) stalled_->Stop();
  for (const OperationPtr& operation : more) Start(operation);
}

// All of the queue for which there is room now. With the lock held.
std::vector<OperationPtr> Runner::TakeAll() {
  std::vector<OperationPtr> taken;
  while (taken.size() + busy_ < allowed_ && !queue_.empty()) {
    taken.push_back(std::move(queue_.front()));
    taken.back()->in_queue = false;
    queue_.pop_front();
  }
  return taken;
}

void Runner::SetThreads(uint32_t count) {
  std::vector<OperationPtr> more;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    size_ = allowed_ = std::min(std::max(count, 1U), kMostThreads);
    more = TakeAll();
  }
  for (const OperationPtr& operation : more) Start(operation);
}

void Runner::Refuse(const OperationPtr& operation, long result) {
  operation->Finish(result);
  bool tell;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    tell = Complete({operation, false, {}});
  }
  if (tell) Tell();
}

void Runner::Forget(const OperationPtr& operation) {
  operation->callback.Clear(env_);
  operations_.erase(operation->id);
  if (operations_.empty()) watch_->Keep(false);
}

void Runner::Interrupt(uint32_t id) {
  const auto found = operations_.find(id);
  if (found == operations_.end()) return;
  const OperationPtr operation = found->second;
  if (operation->Interrupt()) Withdraw(operation);
}

// Takes an operation that has not begun out of its queue, so that it ends now and not when its turn comes.
void Runner::Withdraw(const OperationPtr& operation) {
  OwnThread* own = operation->own.get();
  {
    std::lock_guard<std::mutex> lock(own != nullptr ? own->mutex : mutex_);
    // A thread took it a moment ago, and reads `cancelled` before it makes the call.
    if (!operation->in_queue) return;
    operation->in_queue = false;
    (own != nullptr ? own->queue : queue_).erase(operation->place);
  }
  Refuse(operation, -EINTR);
}

int64_t Runner::OpenThread() {
  if (!Open()) return -EAGAIN;
  auto thread = std::make_shared<OwnThread>();
  thread->runner = shared_from_this();
  auto* argument = new std::shared_ptr<OwnThread>(thread);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    running_++;
  }
  const int error = StartThread(&thread->thread, Own, argument);
  if (error != 0) {
    delete argument;
    std::lock_guard<std::mutex> lock(mutex_);
    running_--;
    return -error;
  }
  uint32_t id;
  do id = next_id_++;
  while (id == 0 || id > INT32_MAX || operations_.count(id) != 0 || threads_.count(id) != 0);
  threads_.emplace(id, thread);
  return id;
}

std::shared_ptr<OwnThread> Runner::Find(uint32_t thread) const {
  const auto found = threads_.find(thread);
  return found == threads_.end() ? nullptr : found->second;
}

void Runner::CloseThread(uint32_t id, napi_value callback) {
  const std::shared_ptr<OwnThread> thread = Find(id);
  auto closing = std::make_shared<Operation>();
  Register(closing, callback);
  threads_.erase(id);
  if (thread->vcpu != nullptr) thread->vcpu->Mute(*this);
  End(*thread, std::move(closing));
}

// `closing` is completed when the thread has ended.
void Runner::End(OwnThread& thread, OperationPtr closing) {
  {
    std::lock_guard<std::mutex> lock(thread.mutex);
    thread.closing = std::move(closing);
    // Whoever still waits for one of its calls hears EINTR.
    if (thread.current != nullptr) thread.current->Interrupt();
    for (const OperationPtr& operation : thread.queue) operation->Interrupt();
    if (thread.vcpu != nullptr) thread.vcpu->End();
  }
  thread.wake.notify_all();
}

void Runner::Drain() {
  uint64_t ignored;
  while (read(event_, &ignored, sizeof ignored) < 0 && errno == EINTR) continue;
  std::vector<Completion> finished;
  bool more = false;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    more = completions_.size() > kMostAtOnce;
    if (more) {
      const auto end = completions_.begin() + kMostAtOnce;
      finished.assign(std::make_move_iterator(completions_.begin()), std::make_move_iterator(end));
      completions_.erase(completions_.begin(), end);
    } else {
      finished.swap(completions_);
    }
  }
  if (more) Tell();
  // JavaScript may end the environment, and with it all but this.
  const std::shared_ptr<Runner> self = shared_from_this();
  if (finished.empty()) return;
  auto next = finished.begin();
  loop_->Enter([&] {
    const auto until = std::chrono::steady_clock::now() + kMostTime;
    do {
      if (next->ends_thread) pthread_join(next->thread, nullptr);
      Deliver(*next->operation);
    } while (++next != finished.end() && std::chrono::steady_clock::now() < until);
  });
  // Nothing was told where the environment is going.
  if (next == finished.begin() || next == finished.end()) return;
  std::unique_lock<std::mutex> lock(mutex_);
  if (gone_) {
    for (; next != finished.end(); ++next) {
      if (next->ends_thread) pthread_join(next->thread, nullptr);
    }
    return;
  }
  completions_.insert(completions_.begin(), std::make_move_iterator(next), std::make_move_iterator(finished.end()));
  lock.unlock();
  Tell();
}

void Runner::Deliver(Operation& operation) {
  napi_handle_scope scope;
  napi_open_handle_scope(env_, &scope);
  operation.GiveBack(env_);
  napi_value callback;
  const bool have = operation.callback.Get(env_, &callback);
  operation.callback.Clear(env_);
  operations_.erase(operation.id);
  if (operations_.empty()) watch_->Keep(false);
  if (have) {
    napi_value result = MakeResult(env_, operation.result);
    loop_->CallBack(callback, 1, &result);
  }
  napi_close_handle_scope(env_, scope);
}

void Runner::TearDown() {
  std::vector<std::shared_ptr<PoolThread>> idle;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    alive_ = false;
    queue_.clear();
    idle.swap(idle_);
    for (const auto& thread : idle) thread->woken.store(1, std::memory_order_release);
  }
  for (const auto& thread : idle) Wake(thread.get());
  for (auto& entry : operations_) entry.second->Interrupt();
  for (auto& entry : threads_) End(*entry.second, std::make_shared<Operation>());
  threads_.clear();
  std::unique_lock<std::mutex> lock(mutex_);
  // A call that no signal ends (a disk that does not answer) must not hang the process's exit: after a while its
  // thread is left to itself. It touches nothing but its own copies and this object, which it shares.
  thread_ended_.wait_for(lock, std::chrono::seconds(2), [&] { return running_ == 0; });
  for (Completion& completion : completions_) {
    if (completion.ends_thread) pthread_join(completion.thread, nullptr);
  }
  completions_.clear();
  if (has_ended_) pthread_join(ended_, nullptr);
  has_ended_ = false;
  gone_ = true;
  lock.unlock();
  for (auto& entry : operations_) {
    entry.second->callback.Clear(env_);
    for (Loan& loan : entry.second->loans) loan.owner.Clear(env_);
  }
  operations_.clear();
}

// ---------------------------------------------------------------------------------------------------------------------
// On any thread
// ---------------------------------------------------------------------------------------------------------------------

// Puts a completion where the JavaScript thread finds it, with the lock held. True: Tell, without the lock, as the
// JavaScript thread takes it first of all when it wakes.
bool Runner::Complete(Completion completion) {
  completions_.push_back(std::move(completion));
  return alive_ && completions_.size() == 1;
}

void Runner::HandIn(OperationPtr operation) {
  std::unique_lock<std::mutex> lock(mutex_);
  const bool tell = Complete({std::move(operation), false, {}});
  lock.unlock();
  if (tell) Tell();
}

void Runner::Tell() {
  const uint64_t one = 1;
  while (write(event_, &one, sizeof one) < 0 && errno == EINTR) continue;
}

// The next of the queue, if its turn has come. With the lock held.
OperationPtr Runner::Take() {
  if (!alive_ || queue_.empty() || !MayRun(*queue_.front())) return nullptr;
  OperationPtr operation = std::move(queue_.front());
  queue_.pop_front();
  operation->in_queue = false;
  if (operation->bounded) busy_++;
  return operation;
}

// Hands in what a thread has done and gives it what to do next; null: it ends.
OperationPtr Runner::Next(OperationPtr done, const std::shared_ptr<PoolThread>& self) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (done->bounded) {
    busy_--;
    answered_++;
  }
  const bool tell = Complete({std::move(done), false, {}});
  OperationPtr next = Take();
  if (next == nullptr && busy_ < size_) allowed_ = size_;
  const bool waits = next == nullptr && alive_ && idle_.size() < size_;
  if (waits) {
    self->woken.store(0, std::memory_order_relaxed);
    idle_.push_back(self);
  }
  lock.unlock();
  if (tell) Tell();
  if (next != nullptr) return next;
  if (waits) {
    if (!Wait(&self->woken, false)) {
      lock.lock();
      const auto at = std::find(idle_.begin(), idle_.end(), self);
      if (at != idle_.end()) {
        idle_.erase(at);
        self->woken.store(1, std::memory_order_relaxed);
      }
      lock.unlock();
      // Not there: it was given work at the last moment.
      Wait(&self->woken, true);
    }
    if (self->operation != nullptr) return std::move(self->operation);
  }
  lock.lock();
  running_--;
  pooled_--;
  const bool join = has_ended_;
  const pthread_t before = ended_;
  ended_ = pthread_self();
  has_ended_ = !gone_;
  if (gone_) pthread_detach(pthread_self());
  thread_ended_.notify_all();
  lock.unlock();
  if (join) pthread_join(before, nullptr);
  return nullptr;
}

void* Runner::Pooled(void* argument) {
  BeginThread("effect-pool");
  const std::unique_ptr<Job> job(static_cast<Job*>(argument));
  const auto self = std::make_shared<PoolThread>();
  for (OperationPtr operation = std::move(job->operation); operation != nullptr;) {
    operation->Run();
    operation = job->runner->Next(std::move(operation), self);
  }
  return nullptr;
}

void* Runner::Own(void* argument) {
  BeginThread("effect-thread");
  const std::unique_ptr<std::shared_ptr<OwnThread>> self(static_cast<std::shared_ptr<OwnThread>*>(argument));
  OwnThread& thread = **self;
  const std::shared_ptr<Runner> runner = thread.runner;
  const auto complete = [&](OperationPtr operation, bool ends) {
    std::unique_lock<std::mutex> lock(runner->mutex_);
    const bool tell = runner->Complete({std::move(operation), ends, pthread_self()});
    if (ends) {
      runner->running_--;
      if (runner->gone_) pthread_detach(pthread_self());
      runner->thread_ended_.notify_all();
    }
    lock.unlock();
    if (tell) runner->Tell();
  };
  std::unique_lock<std::mutex> lock(thread.mutex);
  for (;;) {
    const auto ordered = [&] { return thread.vcpu != nullptr && thread.vcpu->Sleep(); };
    thread.wake.wait(lock, [&] { return thread.closing != nullptr || !thread.queue.empty() || ordered(); });
    if (thread.vcpu != nullptr && thread.vcpu->Rise()) {
      const std::shared_ptr<Vcpu> vcpu = thread.vcpu;
      lock.unlock();
      vcpu->Serve(*runner);
      lock.lock();
      continue;
    }
    if (thread.queue.empty()) {
      complete(std::move(thread.closing), true);
      return nullptr;
    }
    thread.current = std::move(thread.queue.front());
    thread.queue.pop_front();
    thread.current->in_queue = false;
    OperationPtr operation = thread.current;
    lock.unlock();
    if (thread.vcpu != nullptr) thread.vcpu->TakeLateSignal();
    operation->Run();
    lock.lock();
    thread.current = nullptr;
    lock.unlock();
    complete(std::move(operation), false);
    lock.lock();
  }
}

}  // namespace effect_linux
