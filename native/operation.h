// One call that is made on another thread, and the memory it is lent meanwhile. Who runs it, and when, is not decided
// here: see pool.h.
#ifndef EFFECT_LINUX_OPERATION_H_
#define EFFECT_LINUX_OPERATION_H_

#include <node_api.h>
#include <pthread.h>
#include <sys/uio.h>

#include <cstdint>
#include <cstdlib>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "arguments.h"
#include "environment.h"
#include "stub.h"

namespace effect_linux {

struct OwnThread;

// What the kernel does with a piece of memory, as far as the caller knows.
enum class Direction : uint32_t {
  kUnknown = 0,  // it may do anything
  kIn = 1,       // it reads it
  kOut = 2,      // it writes it, all of it or none
  kOutCount = 3  // it writes as many bytes as the call returns
};

// Beside the directions: it is no call but ReadDirectories.
constexpr uint32_t kReadsDirectories = 1U << 31;

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
  bool reads_directories = false;
  long done_before = 0;  // bytes that an inline attempt transferred
  std::vector<Loan> loans;
  std::vector<std::vector<iovec>> vectors;
  Reference callback;

  bool bounded = true;              // counts against the pool's size; not for one that may wait for ever
  std::shared_ptr<OwnThread> own;   // the thread it was given to; null: the pool
  bool in_queue = false;            // guarded by the lock of the queue, as is `place`
  std::list<std::shared_ptr<Operation>>::iterator place;

  std::mutex mutex;  // guards state and thread against an interrupt from the JavaScript thread
  State state = State::kQueued;
  pthread_t thread{};
  volatile int cancelled = 0;
  long result = 0;

  // -- on the JavaScript thread --

  // Sets the call up with what it is lent; false without memory for the copies. `directions` has two bits an argument.
  bool Prepare(napi_env env, Arguments* arguments, uint32_t directions, long done);

  // Copies what the kernel wrote into the buffers it was meant for. A buffer that was detached meanwhile gets nothing:
  // whoever gave it away gave up the bytes.
  void GiveBack(napi_env env);

  // True if the operation had not begun and never will.
  bool Interrupt();

  // -- on the thread that makes the call --

  void Run();
  void Finish(long value);
};

using OperationPtr = std::shared_ptr<Operation>;

}  // namespace effect_linux

#endif  // EFFECT_LINUX_OPERATION_H_
