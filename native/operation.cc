#include "operation.h"

#include <asm/unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "attempt.h"
#include "directories.h"
#include "interrupt.h"

namespace effect_linux {

namespace {

// As much as one read or write on another thread transfers: its bytes are copied on the JavaScript thread, and more
// would hold that up for longer than a few milliseconds. The call then comes back short, as reads and writes may.
constexpr size_t kMostCopied = 16 << 20;

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
  const bool positioned = number == __NR_pread64 || number == __NR_pwrite64 || number == __NR_preadv ||
                          number == __NR_pwritev;
  if (positioned) arguments[3] += operation->done_before;
}

bool Locate(napi_env env, napi_value owner, uint8_t** data, size_t* length) {
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

}  // namespace

bool Operation::Prepare(napi_env env, Arguments* arguments, uint32_t directions, long done) {
  bool vectored = false;
  bool enough = true;
  call.number = arguments->number;
  reads_directories = (directions & kReadsDirectories) != 0;
  done_before = done;
  // Words first: how much of a buffer is used may stand in one.
  for (size_t i = 0; i < arguments->count; i++) call.arguments[i] = arguments->list[i].word;
  // Addresses into these must stay: one entry for each piece of memory there can be.
  size_t pieces = 0;
  for (size_t i = 0; i < arguments->count; i++) pieces += 1 + arguments->list[i].memories.size();
  loans.reserve(pieces);
  vectors.reserve(arguments->count);
  for (size_t i = 0; i < arguments->count; i++) {
    Argument& argument = arguments->list[i];
    const auto direction = static_cast<Direction>((directions >> (2 * i)) & 3);
    switch (argument.kind) {
      case Argument::Kind::kWord: break;
      case Argument::Kind::kMemory:
        argument.word = reinterpret_cast<long>(
            Lend(env, argument.memory, Usable(this, i, argument.memory.length), direction, this));
        enough = enough && argument.word != 0;
        call.arguments[i] = argument.word;
        break;
      case Argument::Kind::kVector: {
        vectored = true;
        for (size_t j = 0; j < argument.memories.size(); j++) {
          const Memory& memory = argument.memories[j];
          argument.vector[j].iov_base = Lend(env, memory, memory.length, direction, this);
          enough = enough && argument.vector[j].iov_base != nullptr;
        }
        vectors.push_back(std::move(argument.vector));
        call.arguments[i] = reinterpret_cast<long>(vectors.back().data());
        break;
      }
    }
  }
  if (done > 0) Skip(this, vectored);
  return enough;
}

void Operation::GiveBack(napi_env env) {
  size_t counted = result > 0 ? static_cast<size_t>(result) : 0;
  for (Loan& loan : loans) {
    napi_value owner;
    const bool have = loan.owner.Get(env, &owner);
    loan.owner.Clear(env);
    if (!have || loan.direction == Direction::kIn || loan.bounce == nullptr) continue;
    // A call of unknown kind may have written although it failed: a remaining time, a partly filled array.
    if (result < 0 && loan.direction != Direction::kUnknown) continue;
    size_t wrote = loan.length;
    if (loan.direction == Direction::kOutCount) {
      wrote = std::min(counted, loan.length);
      counted -= wrote;
    }
    uint8_t* data = nullptr;
    size_t length = 0;
    if (wrote == 0 || !Locate(env, owner, &data, &length)) continue;
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

bool Operation::Interrupt() {
  std::lock_guard<std::mutex> lock(mutex);
  cancelled = 1;
  // The lock is what keeps the thread from going on to its next call between this test and the signal.
  if (state == State::kRunning) pthread_kill(thread, InterruptSignal());
  return state == State::kQueued;
}

void Operation::Run() {
  {
    std::lock_guard<std::mutex> lock(mutex);
    state = State::kRunning;
    thread = pthread_self();
  }
  const long value = reads_directories ? ReadDirectories(&cancelled, call) : InvokeInterruptible(&cancelled, call);
  bool signalled;
  {
    std::lock_guard<std::mutex> lock(mutex);
    Finish(value);
    signalled = cancelled != 0;
  }
  // A signal that came too late for this call must not end the thread's next one: it may still be pending, and is
  // delivered on the way out of the kernel.
  if (signalled) Invoke({__NR_getpid, {}});
}

void Operation::Finish(long value) {
  if (!reads_directories) NoteCall(call, value);
  result = done_before == 0 ? value : value < 0 ? done_before : done_before + value;
  state = State::kDone;
}

}  // namespace effect_linux
