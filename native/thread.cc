#include "thread.h"

#include <cerrno>

#include "environment.h"
#include "interrupt.h"
#include "pool.h"

namespace effect_linux {

namespace {

constexpr int32_t kPool = 0;
constexpr int32_t kForEver = -1;

Runner& RunnerOf(napi_env env) { return *Environment::Get(env)->runner; }

// start(arguments: [number, ...], directions: number, done: number, thread: number, callback): id
// `directions` holds two bits for each argument. `thread` 0 is the pool, -1 the pool for a call that may wait for ever
// for somebody else: it is made at once and takes nobody's place.
napi_value Start(napi_env env, napi_callback_info info) {
  size_t count = 5;
  napi_value values[5];
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  uint32_t length = 0, directions = 0;
  int32_t thread = kPool;
  int64_t done = 0;
  napi_valuetype callback_type = napi_undefined;
  if (count == 5) napi_typeof(env, values[4], &callback_type);
  if (count != 5 || napi_get_array_length(env, values[0], &length) != napi_ok ||
      napi_get_value_uint32(env, values[1], &directions) != napi_ok ||
      napi_get_value_int64(env, values[2], &done) != napi_ok ||
      napi_get_value_int32(env, values[3], &thread) != napi_ok || callback_type != napi_function) {
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
  auto operation = std::make_shared<Operation>();
  operation->bounded = thread == kPool;
  if (thread != kPool && thread != kForEver) {
    operation->own = runner.Find(static_cast<uint32_t>(thread));
    if (operation->own == nullptr) {
      ThrowRange(env, "ERR_OUT_OF_RANGE", "thread: %d is closed or never was", thread);
      return nullptr;
    }
  }
  if (!runner.Open()) {
    ThrowRange(env, "ERR_OUT_OF_RANGE", "no descriptor is left by which other threads could be heard");
    return nullptr;
  }
  const bool enough = operation->Prepare(env, &arguments, directions, static_cast<long>(done));
  const uint32_t id = runner.Register(operation, values[4]);
  if (enough) {
    runner.Enqueue(operation);
  } else {
    runner.Refuse(operation, -ENOMEM);
  }
  napi_value result;
  napi_create_uint32(env, id, &result);
  return result;
}

uint32_t FirstNumber(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value value;
  uint32_t number = 0;
  napi_get_cb_info(env, info, &count, &value, nullptr, nullptr);
  if (count >= 1) napi_get_value_uint32(env, value, &number);
  return number;
}

// interrupt(id): the call returns EINTR as soon as the kernel lets go of it; no effect on one that is over.
napi_value InterruptOperation(napi_env env, napi_callback_info info) {
  RunnerOf(env).Interrupt(FirstNumber(env, info));
  return nullptr;
}

// setThreads(count): how many bounded calls the pool makes at once.
napi_value SetThreads(napi_env env, napi_callback_info info) {
  RunnerOf(env).SetThreads(FirstNumber(env, info));
  return nullptr;
}

// openThread(): id, or -errno
napi_value OpenThread(napi_env env, napi_callback_info) {
  napi_value result;
  napi_create_int64(env, RunnerOf(env).OpenThread(), &result);
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
  if (type != napi_function || napi_get_value_uint32(env, values[0], &id) != napi_ok || runner.Find(id) == nullptr) {
    ThrowRange(env, "ERR_OUT_OF_RANGE", "thread: %u is closed or never was", id);
    return nullptr;
  }
  runner.CloseThread(id, values[1]);
  return nullptr;
}

napi_value GetInterruptSignal(napi_env env, napi_callback_info) {
  napi_value result;
  napi_create_int32(env, InterruptSignal(), &result);
  return result;
}

}  // namespace

void InitThread(napi_env env, napi_value exports) {
  Environment* environment = Environment::Get(env);
  environment->runner = std::make_shared<Runner>(env, environment->loop);
  const napi_property_descriptor properties[] = {
      {"start", nullptr, Start, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"interrupt", nullptr, InterruptOperation, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"setThreads", nullptr, SetThreads, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"openThread", nullptr, OpenThread, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"closeThread", nullptr, CloseThread, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"interruptSignal", nullptr, GetInterruptSignal, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
  };
  napi_define_properties(env, exports, sizeof properties / sizeof *properties, properties);
}

void TearDownThreads(Environment* environment) { environment->runner->TearDown(); }

}  // namespace effect_linux
