// The addon's entry: it sets up one Environment and registers what the other files export. Everything with a concern of
// its own stands in a file of its own.
#include <napi.h>

#include "attempt.h"
#include "call.h"
#include "environment.h"
#include "loop.h"
#include "memory.h"
#include "readiness.h"
#include "ring.h"
#include "signals.h"
#include "thread.h"
#include "watch.h"
#include "vcpu.h"

namespace effect_linux {

namespace {

// Calls first: what they work on goes after them. Handles on the loop take a turn of it to be closed, for which the
// environment waits.
void OnEnvironmentGone(napi_async_cleanup_hook_handle hook, void* data) {
  auto* environment = static_cast<Environment*>(data);
  TearDownThreads(environment);
  const std::shared_ptr<Loop> loop = environment->loop;
  loop->Close([hook] { napi_remove_async_cleanup_hook(hook); });
  ReleaseLeftovers(environment);
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  auto* environment = new Environment;
  napi_set_instance_data(
      env, environment, [](napi_env, void* data, void*) { delete static_cast<Environment*>(data); }, nullptr);

  const Napi::Object global = env.Global();
  environment->uint8_array.Set(env, global.Get("Uint8Array"));
  const Napi::Object object = global.Get("Object").As<Napi::Object>();
  const Napi::Object prototype = global.Get("SharedArrayBuffer").As<Napi::Object>().Get("prototype").As<Napi::Object>();
  const Napi::Object property = object.Get("getOwnPropertyDescriptor")
                                    .As<Napi::Function>()
                                    .Call(object, {prototype, Napi::String::New(env, "byteLength")})
                                    .As<Napi::Object>();
  environment->shared_byte_length.Set(env, property.Get("get"));

  environment->loop = std::make_shared<Loop>(env);
  InitAttempt(env, exports);
  InitCall(env, exports);
  InitMemory(env, exports);
  InitSignals(env, exports);
  InitThread(env, exports);
  InitVcpu(env, exports);
  InitReadiness(env, exports);
  InitWatch(env, exports);
  InitRing(env, exports);
  napi_add_async_cleanup_hook(env, OnEnvironmentGone, environment, nullptr);
  return exports;
}

}  // namespace

}  // namespace effect_linux

static Napi::Object Init(Napi::Env env, Napi::Object exports) { return effect_linux::Init(env, exports); }

NODE_API_MODULE(effect_linux, Init)
