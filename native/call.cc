#include "call.h"

#include <time.h>
#include <unistd.h>

#include "arguments.h"
#include "attempt.h"

namespace effect_linux {

namespace {

constexpr size_t kMostValues = 8;  // one more than is allowed, so that a seventh argument is seen and refused

napi_value CallWithMemory(napi_env env, size_t count, const napi_value* values) {
  SystemCall call;
  std::vector<std::vector<iovec>> vectors;
  if (!DecodeCall(env, count, values, &call, &vectors)) return nullptr;
  const long result = Invoke(call);
  if (NoteCall(call, result)) TellManners(env);
  return MakeResult(env, result);
}

// call(number, ...arguments): the raw door.
napi_value Call(napi_env env, napi_callback_info info) {
  size_t count = kMostValues;
  napi_value values[kMostValues];
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  SystemCall call;
  if (DecodeNumbers(env, count, values, &call)) {
    const long result = Invoke(call);
    if (NoteCall(call, result)) TellManners(env);
    return MakeResult(env, result);
  }
  return CallWithMemory(env, count, values);
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

// A loop of one system call, for benchmarks to hold everything else against: the time of the calls alone, in ns. Made by
// libc's syscall(), as a C program makes them; with `bare` by the instruction alone, in the loop itself, which no
// function can be as fast as: returning from anything just after the kernel is expensive, as it has cleared the
// processor's branch history.
napi_value CallLoop(napi_env env, napi_callback_info info) {
  size_t count = 3;
  napi_value values[3];
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  int64_t number = 0, times = 0;
  bool bare = false;
  napi_get_value_int64(env, values[0], &number);
  napi_get_value_int64(env, values[1], &times);
  if (count == 3) napi_get_value_bool(env, values[2], &bare);
  timespec from, to;
  clock_gettime(CLOCK_MONOTONIC, &from);
  if (bare) {
    for (int64_t i = 0; i < times; i++) Invoke({number, {}});
  } else {
    for (int64_t i = 0; i < times; i++) syscall(number);
  }
  clock_gettime(CLOCK_MONOTONIC, &to);
  napi_value value;
  napi_create_double(env, (to.tv_sec - from.tv_sec) * 1e9 + static_cast<double>(to.tv_nsec - from.tv_nsec), &value);
  return value;
}

}  // namespace

void InitCall(napi_env env, napi_value exports) {
  const napi_property_descriptor properties[] = {
      {"call", nullptr, Call, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"address", nullptr, Address, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"callLoop", nullptr, CallLoop, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
  };
  napi_define_properties(env, exports, sizeof properties / sizeof *properties, properties);
}

}  // namespace effect_linux
