#include "thread.h"

#include <asm/unistd.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "arguments.h"
#include "environment.h"
#include "stub.h"

namespace effect_linux {

namespace {

constexpr size_t kStackSize = 256 * 1024;

// As much as one read or write on another thread transfers: its bytes are copied on the JavaScript thread, and more would
// hold that up for longer than a few milliseconds. The call then comes back short, as reads and writes may.
constexpr size_t kMostCopied = 16 << 20;

// ---------------------------------------------------------------------------------------------------------------------
// The signal
// ---------------------------------------------------------------------------------------------------------------------

// The flag of the call that this thread is making; null on threads that are not ours. A signal handler reads it, and the
// first use of a variable of a loaded library can allocate: glibc is told to keep room for it in each thread, and the
// signal stays blocked until the thread has used it once.
#if defined(__GLIBC__)
__attribute__((tls_model("initial-exec")))
#endif
thread_local const volatile int* volatile current_cancelled = nullptr;

// A signal that is not for the call at hand (somebody else's, or one of ours that came late) must not abort it.
void OnSignal(int, siginfo_t*, void* context) {
  const volatile int* cancelled = current_cancelled;
  if (cancelled != nullptr && *cancelled != 0) RedirectIfBeforeCall(context);
}

// The real-time signal that ends a blocked call: the highest that nobody has claimed when it is first needed. Installed
// without SA_RESTART, as its whole point is that the kernel gives up with EINTR.
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

// ---------------------------------------------------------------------------------------------------------------------
// Operations
// ---------------------------------------------------------------------------------------------------------------------

// What the kernel does with a piece of memory, as far as the caller knows.
enum class Direction : uint32_t {
  kUnknown = 0,  // it may do anything
  kIn = 1,       // it reads it
  kOut = 2,      // it writes it, all of it or none
  kOutCount = 3  // it writes as many bytes as the call returns
};

// Memory lent to an operation. JavaScript can give a buffer away (transfer it, let WebAssembly grow it) while the
// kernel works, so the kernel gets a copy and the buffer gets the bytes back on the JavaScript thread, if it is still
// there. Shared memory cannot be given away; it is passed itself, as futex and friends need.
struct Loan {
  Reference owner;
  Direction direction = Direction::kUnknown;
  size_t length = 0;
  struct Free {
    void operator()(void* memory) const { free(memory); }
  };
  std::unique_ptr<uint8_t, Free> bounce;
  std::unique_ptr<uint8_t, Free> before;  // kUnknown: what bounce held at the start, to tell what the kernel wrote
};

struct Operation {
  enum class State { kQueued, kRunning, kDone };

  uint32_t id = 0;
  SystemCall call{};
  long done_before = 0;  // bytes that an inline attempt transferred
  std::vector<Loan> loans;
  std::vector<std::vector<iovec>> vectors;
  Reference callback;

  std::mutex mutex;  // guards state and thread against an interrupt from the JavaScript thread
  State state = State::kQueued;
  pthread_t thread{};
  volatile int cancelled = 0;
  long result = 0;

  void Run() {
    {
      std::lock_guard<std::mutex> lock(mutex);
      state = State::kRunning;
      thread = pthread_self();
    }
    current_cancelled = &cancelled;
    const long value = InvokeCancellable(&cancelled, call);
    current_cancelled = nullptr;
    std::lock_guard<std::mutex> lock(mutex);
    Finish(value);
  }

  void Finish(long value) {
    result = done_before == 0 ? value : value < 0 ? done_before : done_before + value;
    state = State::kDone;
  }

  // True if the operation had not begun and never will.
  bool Interrupt() {
    std::lock_guard<std::mutex> lock(mutex);
    cancelled = 1;
    // The lock is what keeps the thread from ending between this test and the signal.
    if (state == State::kRunning) pthread_kill(thread, InterruptSignal());
    return state == State::kQueued;
  }
};

using OperationPtr = std::shared_ptr<Operation>;

// The first thing that a thread of ours does. A signal sent before is pending then, and the call it was meant for has its
// flag set.
void AdmitSignal() {
  current_cancelled = nullptr;
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

}  // namespace

// ---------------------------------------------------------------------------------------------------------------------
// The runner of one environment
// ---------------------------------------------------------------------------------------------------------------------

// A thread that lives until it is closed and runs what it is given, in order.
struct OwnThread {
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<OperationPtr> queue;
  OperationPtr current;
  OperationPtr closing;  // completed by the thread as the last thing it does
  pthread_t thread{};
  std::shared_ptr<Runner> runner;  // given back when the thread ends
};

class Runner : public std::enable_shared_from_this<Runner> {
 public:
  struct Completion {
    OperationPtr operation;
    bool ends_thread = false;  // the thread that made it is on its way out and is to be joined
    pthread_t thread{};
  };

  napi_env env = nullptr;
  napi_threadsafe_function wake = nullptr;
  std::map<uint32_t, OperationPtr> operations;  // JavaScript thread only
  std::map<uint32_t, std::shared_ptr<OwnThread>> threads;
  uint32_t next_id = 1;

  std::mutex mutex;
  std::condition_variable thread_ended;
  size_t own_threads = 0;  // those of them that do not take from `queue`
  bool alive = true;  // false once the environment is being torn down: nobody is left to tell
  std::deque<OperationPtr> queue;
  std::vector<Completion> completions;
  size_t running = 0;  // threads of both kinds

  // -- on any thread --

  // Puts a completion where the JavaScript thread finds it. With the lock held.
  void Complete(Completion completion) {
    completions.push_back(std::move(completion));
    if (alive && completions.size() == 1) napi_call_threadsafe_function(wake, nullptr, napi_tsfn_nonblocking);
  }

  // What a one-shot thread is started with. It goes on with calls that found no thread, if there are any.
  struct Job {
    std::shared_ptr<Runner> runner;
    OperationPtr operation;
  };

  static void* OneShot(void* argument) {
    AdmitSignal();
    std::unique_ptr<Job> job(static_cast<Job*>(argument));
    Runner& runner = *job->runner;
    for (OperationPtr operation = std::move(job->operation);;) {
      operation->Run();
      std::lock_guard<std::mutex> lock(runner.mutex);
      // A thread with nothing left to do says so with its last completion, so that by the time JavaScript hears of the
      // result it can join the thread: a call leaves nothing behind.
      const bool last = runner.queue.empty();
      if (last) runner.running--;
      runner.Complete({std::move(operation), last, pthread_self()});
      if (last) {
        runner.thread_ended.notify_all();
        return nullptr;
      }
      operation = std::move(runner.queue.front());
      runner.queue.pop_front();
    }
  }

  static void* Own(void* argument) {
    AdmitSignal();
    std::unique_ptr<std::shared_ptr<OwnThread>> self(static_cast<std::shared_ptr<OwnThread>*>(argument));
    OwnThread& thread = **self;
    std::unique_lock<std::mutex> lock(thread.mutex);
    for (;;) {
      thread.wake.wait(lock, [&] { return thread.closing != nullptr || !thread.queue.empty(); });
      if (thread.queue.empty()) {
        std::lock_guard<std::mutex> runner_lock(thread.runner->mutex);
        thread.runner->running--;
        thread.runner->Complete({std::move(thread.closing), true, pthread_self()});
        thread.runner->thread_ended.notify_all();
        return nullptr;
      }
      thread.current = std::move(thread.queue.front());
      thread.queue.pop_front();
      OperationPtr operation = thread.current;
      lock.unlock();
      operation->Run();
      lock.lock();
      thread.current = nullptr;
      std::lock_guard<std::mutex> runner_lock(thread.runner->mutex);
      thread.runner->Complete({std::move(operation), false, {}});
    }
  }

  // -- on the JavaScript thread --

  // Keeps the event loop alive until the operation is delivered.
  uint32_t Register(napi_env env, const OperationPtr& operation, napi_value callback) {
    operation->callback.Set(env, callback);
    do operation->id = next_id++;
    while (operation->id == 0 || operations.count(operation->id) != 0 || threads.count(operation->id) != 0);
    operations.emplace(operation->id, operation);
    if (operations.size() == 1) napi_ref_threadsafe_function(env, wake);
    return operation->id;
  }

  void Drop() {
    if (operations.empty()) napi_unref_threadsafe_function(env, wake);
  }

  void Enqueue(const OperationPtr& operation) {
    std::lock_guard<std::mutex> lock(mutex);
    auto* job = new Job{shared_from_this(), operation};
    pthread_t thread;
    const int error = StartThread(&thread, OneShot, job);
    if (error == 0) {
      running++;
      return;
    }
    delete job;
    // The system has no more threads to give. With others at work one of them comes to it; with none it fails.
    if (running > own_threads) {
      queue.push_back(operation);
      return;
    }
    operation->Finish(-error);
    Complete({operation, false, {}});
  }

  // Takes an operation that has not begun out of its queue, so that it ends now and not when its turn comes.
  void Withdraw(const OperationPtr& operation) {
    const auto take = [&](std::deque<OperationPtr>& from) {
      for (auto it = from.begin(); it != from.end(); ++it) {
        if (*it == operation) {
          from.erase(it);
          return true;
        }
      }
      return false;
    };
    bool taken = false;
    {
      std::lock_guard<std::mutex> lock(mutex);
      taken = take(queue);
    }
    for (auto& entry : threads) {
      if (taken) break;
      std::lock_guard<std::mutex> lock(entry.second->mutex);
      taken = take(entry.second->queue);
    }
    // Not found: a thread took it a moment ago, and reads `cancelled` before it makes the call.
    if (!taken) return;
    operation->Finish(-EINTR);
    std::lock_guard<std::mutex> lock(mutex);
    Complete({operation, false, {}});
  }

  // `closing` is completed when the thread has ended.
  static void End(OwnThread& thread, OperationPtr closing) {
    {
      std::lock_guard<std::mutex> lock(thread.mutex);
      thread.closing = std::move(closing);
      // Whoever still waits for one of its calls hears EINTR.
      if (thread.current != nullptr) thread.current->Interrupt();
      for (const OperationPtr& operation : thread.queue) operation->Interrupt();
    }
    thread.wake.notify_all();
  }

  void Drain() {
    std::vector<Completion> finished;
    {
      std::lock_guard<std::mutex> lock(mutex);
      finished.swap(completions);
    }
    for (Completion& completion : finished) {
      if (completion.ends_thread) pthread_join(completion.thread, nullptr);
      if (completion.operation != nullptr) Deliver(*completion.operation);
    }
  }

  void Deliver(Operation& operation) {
    napi_handle_scope scope;
    napi_open_handle_scope(env, &scope);
    GiveBack(operation);
    napi_value callback, undefined;
    const bool have = operation.callback.Get(env, &callback);
    operation.callback.Clear(env);
    operations.erase(operation.id);
    Drop();
    if (have) {
      napi_get_undefined(env, &undefined);
      napi_value result = MakeResult(env, operation.result);
      if (napi_call_function(env, undefined, callback, 1, &result, nullptr) == napi_pending_exception) {
        napi_value error;
        napi_get_and_clear_last_exception(env, &error);
        napi_fatal_exception(env, error);  // as uncaught: there is nobody to throw it to
      }
    }
    napi_close_handle_scope(env, scope);
  }

  // Copies what the kernel wrote into the buffers it was meant for. A buffer that was detached meanwhile gets nothing:
  // whoever gave it away gave up the bytes.
  void GiveBack(Operation& operation) {
    size_t counted = operation.result > 0 ? static_cast<size_t>(operation.result) : 0;
    for (Loan& loan : operation.loans) {
      napi_value owner;
      const bool have = loan.owner.Get(env, &owner);
      loan.owner.Clear(env);
      if (!have || loan.direction == Direction::kIn || loan.bounce == nullptr) continue;
      // A call of unknown kind may have written although it failed: a remaining time, a partly filled array.
      if (operation.result < 0 && loan.direction != Direction::kUnknown) continue;
      size_t wrote = loan.length;
      if (loan.direction == Direction::kOutCount) {
        wrote = std::min(counted, loan.length);
        counted -= wrote;
      }
      uint8_t* data = nullptr;
      size_t length = 0;
      if (wrote == 0 || !Locate(owner, &data, &length)) continue;
      // A resizable buffer may have another length by now.
      wrote = std::min(wrote, length);
      if (loan.direction != Direction::kUnknown) {
        memcpy(data, loan.bounce.get(), wrote);
        continue;
      }
      for (size_t i = 0; i < wrote; i++) {
        if (loan.bounce.get()[i] != loan.before.get()[i]) data[i] = loan.bounce.get()[i];
      }
    }
  }

  bool Locate(napi_value owner, uint8_t** data, size_t* length) {
    // The decoder again: it knows every kind of view, and says no to a detached one.
    napi_value values[2] = {nullptr, owner};
    napi_create_int32(env, 0, &values[0]);
    Arguments arguments;
    if (!DecodeArguments(env, 2, values, &arguments)) {
      napi_value ignored;
      napi_get_and_clear_last_exception(env, &ignored);
      return false;
    }
    *data = static_cast<uint8_t*>(arguments.list[0].memory.data);
    *length = arguments.list[0].memory.length;
    return arguments.list[0].kind == Argument::Kind::kMemory;
  }

  // The environment goes. What is still in the kernel is called back, and waited for: it may be writing to memory that
  // goes with the environment's thread.
  void TearDown() {
      {
      std::lock_guard<std::mutex> lock(mutex);
      alive = false;
      queue.clear();
    }
    for (auto& entry : operations) entry.second->Interrupt();
    for (auto& entry : threads) End(*entry.second, std::make_shared<Operation>());
    threads.clear();
    std::unique_lock<std::mutex> lock(mutex);
    // A call that no signal ends (a disk that does not answer) must not hang the process's exit: after a while its
    // thread is left to itself. It touches nothing but its own copies and this object, which it shares.
    thread_ended.wait_for(lock, std::chrono::seconds(2), [&] { return running == 0; });
    for (Completion& completion : completions) {
      if (completion.ends_thread) pthread_join(completion.thread, nullptr);
    }
    completions.clear();
    for (auto& entry : operations) {
      entry.second->callback.Clear(env);
      for (Loan& loan : entry.second->loans) loan.owner.Clear(env);
    }
    operations.clear();
  }
};

namespace {

Runner& RunnerOf(napi_env env) { return *Environment::Get(env)->runner; }

// Copies or pins `length` bytes of a piece of memory and returns the address the kernel is to use; null without memory
// for the copy.
void* Lend(napi_env env, const Memory& memory, size_t length, Direction direction, Operation* operation) {
  if (memory.length == 0) return memory.data;
  operation->loans.emplace_back();
  Loan& loan = operation->loans.back();
  loan.owner.Set(env, memory.value);
  if (memory.shared) return memory.data;
  loan.direction = direction;
  loan.length = length;
  // Zeroed memory that nobody touches costs nothing, however much it is.
  loan.bounce.reset(static_cast<uint8_t*>(calloc(length + 1, 1)));
  if (loan.bounce == nullptr) return nullptr;
  if (direction == Direction::kUnknown || direction == Direction::kIn) {
    memcpy(loan.bounce.get(), memory.data, length);
  } else if (direction == Direction::kOutCount) {
    // What an attempt has read already goes back with the rest.
    memcpy(loan.bounce.get(), memory.data, std::min(length, static_cast<size_t>(operation->done_before)));
  }
  if (direction == Direction::kUnknown) {
    loan.before.reset(static_cast<uint8_t*>(malloc(length + 1)));
    if (loan.before == nullptr) return nullptr;
    memcpy(loan.before.get(), memory.data, length);
  }
  return loan.bounce.get();
}

// How much of a buffer a call can use: of a read or write no more than its count, and no more than is copied at once.
size_t Usable(Operation* operation, size_t place, size_t length) {
  SystemCall* call = &operation->call;
  const long number = call->number;
  if (number == __NR_getrandom && place == 0) {
    auto& count = reinterpret_cast<unsigned long&>(call->arguments[1]);
    count = std::min({count, static_cast<unsigned long>(length), static_cast<unsigned long>(kMostCopied)});
    return count;
  }
  const bool transfers = number == __NR_read || number == __NR_write || number == __NR_pread64 ||
                         number == __NR_pwrite64;
  if (!transfers || place != 1) return length;
  auto& count = reinterpret_cast<unsigned long&>(call->arguments[2]);
  // More than the buffer has is the caller's mistake, and the copy's end must not be where it shows.
  count = std::min({count, static_cast<unsigned long>(length),
                    static_cast<unsigned long>(operation->done_before) + kMostCopied});
  return count;
}

// Moves a call past the bytes that an attempt has already transferred. Only those with an offset have one at place 3.
void Skip(Operation* operation, bool vectored) {
  size_t skip = static_cast<size_t>(operation->done_before);
  long* arguments = operation->call.arguments;
  if (!vectored) {
    arguments[1] += static_cast<long>(skip);
    arguments[2] -= static_cast<long>(skip);
  } else {
    for (iovec& piece : operation->vectors.front()) {
      const size_t here = skip < piece.iov_len ? skip : piece.iov_len;
      piece.iov_base = static_cast<char*>(piece.iov_base) + here;
      piece.iov_len -= here;
      skip -= here;
    }
  }
  const long number = operation->call.number;
  if (number == __NR_pread64 || number == __NR_pwrite64 || number == __NR_preadv) arguments[3] += operation->done_before;
}

// start(arguments: [number, ...], directions: number, done: number, thread: number, callback): id
// `directions` holds two bits for each argument. `thread` 0 is a one-shot thread.
napi_value Start(napi_env env, napi_callback_info info) {
  size_t count = 5;
  napi_value values[5];
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  uint32_t length = 0, directions = 0, thread = 0;
  int64_t done = 0;
  napi_valuetype callback_type = napi_undefined;
  if (count == 5) napi_typeof(env, values[4], &callback_type);
  if (count != 5 || napi_get_array_length(env, values[0], &length) != napi_ok ||
      napi_get_value_uint32(env, values[1], &directions) != napi_ok ||
      napi_get_value_int64(env, values[2], &done) != napi_ok ||
      napi_get_value_uint32(env, values[3], &thread) != napi_ok || callback_type != napi_function) {
    ThrowType(env, "ERR_INVALID_ARG_TYPE", "start(arguments, directions, done, thread, callback)");
    return nullptr;
  }
  napi_value list[8];
  for (uint32_t i = 0; i < length && i < 8; i++) {
    if (napi_get_element(env, values[0], i, &list[i]) != napi_ok) return nullptr;
  }
  Arguments arguments;
  if (!DecodeArguments(env, length < 8 ? length : 8, list, &arguments)) return nullptr;

  Runner& runner = RunnerOf(env);
  std::shared_ptr<OwnThread> own;
  if (thread != 0) {
    auto found = runner.threads.find(thread);
    if (found == runner.threads.end()) {
      ThrowRange(env, "ERR_OUT_OF_RANGE", "thread: %u is closed or never was", thread);
      return nullptr;
    }
    own = found->second;
  }

  auto operation = std::make_shared<Operation>();
  operation->call.number = arguments.number;
  operation->done_before = static_cast<long>(done);
  bool vectored = false;
  bool enough = true;
  // Words first: how much of a buffer is used may stand in one.
  for (size_t i = 0; i < arguments.count; i++) operation->call.arguments[i] = arguments.list[i].word;
  // Addresses into these must stay: one entry for each piece of memory there can be.
  size_t pieces = 0;
  for (size_t i = 0; i < arguments.count; i++) pieces += 1 + arguments.list[i].memories.size();
  operation->loans.reserve(pieces);
  operation->vectors.reserve(arguments.count);
  for (size_t i = 0; i < arguments.count; i++) {
    Argument& argument = arguments.list[i];
    const auto direction = static_cast<Direction>((directions >> (2 * i)) & 3);
    switch (argument.kind) {
      case Argument::Kind::kWord: break;
      case Argument::Kind::kMemory:
        argument.word = reinterpret_cast<long>(
            Lend(env, argument.memory, Usable(operation.get(), i, argument.memory.length), direction, operation.get()));
        enough = enough && argument.word != 0;
        operation->call.arguments[i] = argument.word;
        break;
      case Argument::Kind::kVector: {
        vectored = true;
        for (size_t j = 0; j < argument.memories.size(); j++) {
          const Memory& memory = argument.memories[j];
          argument.vector[j].iov_base = Lend(env, memory, memory.length, direction, operation.get());
          enough = enough && argument.vector[j].iov_base != nullptr;
        }
        operation->vectors.push_back(std::move(argument.vector));
        operation->call.arguments[i] = reinterpret_cast<long>(operation->vectors.back().data());
        break;
      }
    }
  }
  if (done > 0) Skip(operation.get(), vectored);
  const uint32_t id = runner.Register(env, operation, values[4]);
  if (!enough) {
    operation->Finish(-ENOMEM);
    std::lock_guard<std::mutex> lock(runner.mutex);
    runner.Complete({operation, false, {}});
  } else if (own != nullptr) {
    {
      std::lock_guard<std::mutex> lock(own->mutex);
      own->queue.push_back(operation);
    }
    own->wake.notify_one();
  } else {
    runner.Enqueue(operation);
  }
  napi_value result;
  napi_create_uint32(env, id, &result);
  return result;
}

uint32_t FirstId(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value value;
  uint32_t id = 0;
  napi_get_cb_info(env, info, &count, &value, nullptr, nullptr);
  if (count >= 1) napi_get_value_uint32(env, value, &id);
  return id;
}

// interrupt(id): the call returns EINTR as soon as the kernel lets go of it; no effect on one that is over.
napi_value InterruptOperation(napi_env env, napi_callback_info info) {
  Runner& runner = RunnerOf(env);
  auto found = runner.operations.find(FirstId(env, info));
  if (found == runner.operations.end()) return nullptr;
  OperationPtr operation = found->second;
  if (operation->Interrupt()) runner.Withdraw(operation);
  return nullptr;
}

// openThread(): id, or -errno
napi_value OpenThread(napi_env env, napi_callback_info) {
  Runner& runner = RunnerOf(env);
  auto thread = std::make_shared<OwnThread>();
  thread->runner = runner.shared_from_this();
  auto* argument = new std::shared_ptr<OwnThread>(thread);
  const int error = StartThread(&thread->thread, Runner::Own, argument);
  napi_value result;
  if (error != 0) {
    delete argument;
    napi_create_int32(env, -error, &result);
    return result;
  }
  {
    std::lock_guard<std::mutex> lock(runner.mutex);
    runner.running++;
    runner.own_threads++;
  }
  const uint32_t id = runner.next_id++;
  runner.threads.emplace(id, thread);
  napi_create_uint32(env, id, &result);
  return result;
}

// closeThread(id, callback): calls back what the thread is doing and ends it; `callback` hears when it has ended.
napi_value CloseThread(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value values[2];
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  uint32_t id = 0;
  napi_valuetype type = napi_undefined;
  if (count == 2) napi_typeof(env, values[1], &type);
  Runner& runner = RunnerOf(env);
  auto found = runner.threads.end();
  if (type == napi_function && napi_get_value_uint32(env, values[0], &id) == napi_ok) found = runner.threads.find(id);
  if (found == runner.threads.end()) {
    ThrowRange(env, "ERR_OUT_OF_RANGE", "thread: %u is closed or never was", id);
    return nullptr;
  }
  std::shared_ptr<OwnThread> thread = found->second;
  auto closing = std::make_shared<Operation>();
  runner.Register(env, closing, values[1]);
  runner.threads.erase(found);
  {
    std::lock_guard<std::mutex> lock(runner.mutex);
    runner.own_threads--;
  }
  Runner::End(*thread, closing);
  return nullptr;
}

napi_value GetInterruptSignal(napi_env env, napi_callback_info) {
  napi_value result;
  napi_create_int32(env, InterruptSignal(), &result);
  return result;
}

}  // namespace

void InitThread(napi_env env, napi_value exports) {
  auto runner = std::make_shared<Runner>();
  runner->env = env;
  Environment::Get(env)->runner = runner;
  napi_value name;
  napi_create_string_utf8(env, "effect-linux", NAPI_AUTO_LENGTH, &name);
  napi_create_threadsafe_function(
      env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, runner.get(),
      [](napi_env current, napi_value, void* context, void*) {
        if (current != nullptr) static_cast<Runner*>(context)->Drain();
      },
      &runner->wake);
  napi_unref_threadsafe_function(env, runner->wake);

  const napi_property_descriptor properties[] = {
      {"start", nullptr, Start, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"interrupt", nullptr, InterruptOperation, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"openThread", nullptr, OpenThread, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"closeThread", nullptr, CloseThread, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"interruptSignal", nullptr, GetInterruptSignal, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
  };
  napi_define_properties(env, exports, sizeof properties / sizeof *properties, properties);
}

void TearDownThreads(Environment* environment) { environment->runner->TearDown(); }

}  // namespace effect_linux
