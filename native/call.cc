#include "call.h"

#include <asm/unistd.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>

#include <cerrno>
#include <climits>

#include "arguments.h"

namespace effect_linux {

namespace {

constexpr size_t kMostValues = 8;  // one more than is allowed, so that a seventh argument is seen and refused

// call(number, ...arguments): the raw door.
napi_value Call(napi_env env, napi_callback_info info) {
  size_t count = kMostValues;
  napi_value values[kMostValues];
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  SystemCall call;
  std::vector<std::vector<iovec>> vectors;
  if (!DecodeCall(env, count, values, &call, &vectors)) return nullptr;
  return MakeResult(env, Invoke(call));
}

long Make(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  return Invoke({number, {a, b, c, d, e, f}});
}

bool NonBlocking(long fd) {
  const long flags = Make(__NR_fcntl, fd, F_GETFL);
  return flags >= 0 && (flags & O_NONBLOCK) != 0;
}

// A regular file whose contents are memory and nothing else: tmpfs, which memfd is as well.
bool InMemory(long fd) {
  struct stat status;
  struct statfs system;
  return fstat(static_cast<int>(fd), &status) == 0 && S_ISREG(status.st_mode) &&
         fstatfs(static_cast<int>(fd), &system) == 0 && system.f_type == TMPFS_MAGIC;
}

enum class Attempt { kAnswered, kWouldWait, kPartly };

// What is transferred without a thread: copying it takes well under a millisecond.
constexpr unsigned long kMostAtOnce = 1 << 20;
constexpr unsigned long kMostRandomAtOnce = 256 << 10;

// The bytes that a transfer asks for.
unsigned long Wanted(const SystemCall& call, bool vectored) {
  if (!vectored) return static_cast<unsigned long>(call.arguments[2]);
  unsigned long wanted = 0;
  const auto* vector = reinterpret_cast<const iovec*>(call.arguments[1]);
  for (long i = 0; i < call.arguments[2]; i++) wanted += vector[i].iov_len;
  return wanted;
}

// Whether a transfer that came back short may have done so only because it was told not to wait. A pipe, socket or
// terminal gives what it has and a read of it is done; a file is short before its end for no other reason.
Attempt Settle(const SystemCall& call, bool writes, bool vectored, bool positioned, long done) {
  if (done <= 0) return Attempt::kAnswered;
  const long fd = call.arguments[0];
  if (static_cast<unsigned long>(done) >= Wanted(call, vectored) || NonBlocking(fd)) return Attempt::kAnswered;
  if (writes) return Attempt::kPartly;
  struct stat status;
  if (fstat(static_cast<int>(fd), &status) != 0 || !S_ISREG(status.st_mode)) return Attempt::kAnswered;
  const long at = positioned ? call.arguments[3] + done : Make(__NR_lseek, fd, 0, SEEK_CUR);
  return at >= status.st_size ? Attempt::kAnswered : Attempt::kPartly;
}

// The same transfer as `call`, with RWF_NOWAIT. At offset -1 preadv2 and pwritev2 use and move the file's own offset.
Attempt Transfer(const SystemCall& call, bool writes, bool vectored, bool positioned, long* result) {
  const long fd = call.arguments[0];
  iovec single;
  long vector = call.arguments[1];
  long vectors = call.arguments[2];
  if (!vectored) {
    single = {reinterpret_cast<void*>(call.arguments[1]), static_cast<size_t>(call.arguments[2])};
    vector = reinterpret_cast<long>(&single);
    vectors = 1;
  }
  const long offset = positioned ? call.arguments[3] : -1;
  // More is not copied on the JavaScript thread in one go.
  if (Wanted(call, vectored) > kMostAtOnce) return Attempt::kWouldWait;
  // -1 would mean the file's own offset to the v2 calls; what the plain ones say of it is for them to say.
  if (positioned && offset < 0) {
    *result = Invoke(call);
    return Attempt::kAnswered;
  }
  *result = Make(writes ? __NR_pwritev2 : __NR_preadv2, fd, vector, vectors, offset, 0, RWF_NOWAIT);
  switch (*result) {
    case -EAGAIN:
      return NonBlocking(fd) ? Attempt::kAnswered : Attempt::kWouldWait;
    case -EOPNOTSUPP:
      if (!NonBlocking(fd) && !InMemory(fd)) return Attempt::kWouldWait;
      *result = Invoke(call);
      return Attempt::kAnswered;
    case -ENOSYS:
      return Attempt::kWouldWait;
    default:
      return Settle(call, writes, vectored, positioned, *result);
  }
}

// The same call with one argument changed so that it does not wait; `would_wait` is what it answers when it would have.
Attempt TryWith(const SystemCall& call, int index, long argument, long would_wait, long* result) {
  if (argument == call.arguments[index]) {
    *result = Invoke(call);
    return Attempt::kAnswered;
  }
  SystemCall now = call;
  now.arguments[index] = argument;
  *result = Invoke(now);
  return *result == would_wait ? Attempt::kWouldWait : Attempt::kAnswered;
}

// A transfer over a socket, told by its flags not to wait.
Attempt Send(const SystemCall& call, bool writes, long* result) {
  const long fd = call.arguments[0];
  const long flags = call.arguments[3];
  // With MSG_FASTOPEN not waiting means another answer, EINPROGRESS.
  if ((flags & (MSG_WAITALL | MSG_FASTOPEN)) != 0) return Attempt::kWouldWait;
  const Attempt attempt = TryWith(call, 3, flags | MSG_DONTWAIT, -EAGAIN, result);
  if (attempt == Attempt::kWouldWait) return NonBlocking(fd) ? Attempt::kAnswered : attempt;
  // A blocking send of a stream ends when all is queued.
  const bool in_part = writes && *result >= 0 && *result < call.arguments[2];
  return in_part && (flags & MSG_DONTWAIT) == 0 && !NonBlocking(fd) ? Attempt::kPartly : attempt;
}

Attempt TryCall(const SystemCall& call, long* result) {
  switch (call.number) {
    case __NR_read: return Transfer(call, false, false, false, result);
    case __NR_readv: return Transfer(call, false, true, false, result);
    case __NR_pread64: return Transfer(call, false, false, true, result);
    case __NR_preadv: return Transfer(call, false, true, true, result);
    case __NR_pwrite64: return Transfer(call, true, false, true, result);
    case __NR_write:
      // A blocking write of more than a pipe takes at once is completed by the kernel; one told not to wait would come
      // back short, and the caller could tell the difference.
      if (static_cast<unsigned long>(call.arguments[2]) > PIPE_BUF) return Attempt::kWouldWait;
      return Transfer(call, true, false, false, result);
    case __NR_getrandom:
      if (static_cast<unsigned long>(call.arguments[1]) > kMostRandomAtOnce) return Attempt::kWouldWait;
      return TryWith(call, 2, call.arguments[2] | GRND_NONBLOCK, -EAGAIN, result);
    case __NR_recvfrom: return Send(call, false, result);
    case __NR_sendto: return Send(call, true, result);
    case __NR_flock: return TryWith(call, 1, call.arguments[1] | LOCK_NB, -EAGAIN, result);
#ifdef __NR_poll
    case __NR_poll: return TryWith(call, 2, 0, 0, result);
#endif
#ifdef __NR_epoll_wait
    case __NR_epoll_wait: return TryWith(call, 3, 0, 0, result);
#endif
    case __NR_epoll_pwait: return TryWith(call, 3, 0, 0, result);
    default: return Attempt::kWouldWait;
  }
}

// attempt(number, ...arguments): the result where the kernel can give it without waiting, undefined where nothing was
// done, and { done } where that many bytes were transferred and the rest would have to be waited for.
napi_value TryNow(napi_env env, napi_callback_info info) {
  size_t count = kMostValues;
  napi_value values[kMostValues];
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  SystemCall call;
  std::vector<std::vector<iovec>> vectors;
  if (!DecodeCall(env, count, values, &call, &vectors)) return nullptr;
  long result = 0;
  // Only a list that was decoded here is looked into: an address that the caller made up is for the kernel to refuse.
  const bool vectored = call.number == __NR_readv || call.number == __NR_preadv;
  if (vectored && (vectors.empty() || static_cast<unsigned long>(call.arguments[2]) > vectors.front().size())) {
    return nullptr;
  }
  switch (TryCall(call, &result)) {
    case Attempt::kWouldWait: return nullptr;
    case Attempt::kAnswered: return MakeResult(env, result);
    case Attempt::kPartly: break;
  }
  napi_value partly;
  napi_create_object(env, &partly);
  napi_set_named_property(env, partly, "done", MakeResult(env, result));
  return partly;
}

// address(buffer): where its first byte lies, for a pointer inside a structure.
napi_value Address(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value values[2];
  napi_get_cb_info(env, info, &count, values + 1, nullptr, nullptr);
  napi_create_int32(env, 0, &values[0]);
  Arguments arguments;
  if (!DecodeArguments(env, 2, values, &arguments)) return nullptr;
  if (arguments.list[0].kind != Argument::Kind::kMemory) {
    ThrowType(env, "ERR_INVALID_ARG_TYPE", "buffer: expected a buffer or view");
    return nullptr;
  }
  napi_value result;
  napi_create_bigint_uint64(env, reinterpret_cast<uint64_t>(arguments.list[0].memory.data), &result);
  return result;
}

// A loop of one system call, for benchmarks to hold everything else against: the time of the calls alone, in ns.
napi_value CallLoop(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value values[2];
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  int64_t number = 0, times = 0;
  napi_get_value_int64(env, values[0], &number);
  napi_get_value_int64(env, values[1], &times);
  timespec from, to;
  clock_gettime(CLOCK_MONOTONIC, &from);
  for (int64_t i = 0; i < times; i++) Make(number);
  clock_gettime(CLOCK_MONOTONIC, &to);
  napi_value value;
  napi_create_double(env, (to.tv_sec - from.tv_sec) * 1e9 + static_cast<double>(to.tv_nsec - from.tv_nsec), &value);
  return value;
}

}  // namespace

void InitCall(napi_env env, napi_value exports) {
  const napi_property_descriptor properties[] = {
      {"call", nullptr, Call, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"attempt", nullptr, TryNow, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"address", nullptr, Address, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"callLoop", nullptr, CallLoop, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
  };
  napi_define_properties(env, exports, sizeof properties / sizeof *properties, properties);
}

}  // namespace effect_linux
