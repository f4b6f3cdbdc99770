// What the addon keeps for one JavaScript environment: the main thread's, or a worker's. Nothing in the addon is global
// but the signal handler and the empty page, so that any number of environments stand side by side.
#ifndef EFFECT_LINUX_ENVIRONMENT_H_
#define EFFECT_LINUX_ENVIRONMENT_H_

#include <node_api.h>

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <unordered_set>

namespace effect_linux {

class Loop;
class MappedMemory;
class Readiness;
class Runner;
class Watches;
struct Ring;

// A strong napi_ref. Its owner clears it on the JavaScript thread: there is no destructor, as the last owner of what
// holds one may be another thread, where Node-API must not be called.
class Reference {
 public:
  Reference() = default;
  Reference(Reference&& other) noexcept : reference_(other.reference_) { other.reference_ = nullptr; }
  Reference(const Reference&) = delete;
  Reference& operator=(const Reference&) = delete;

  void Set(napi_env env, napi_value value) {
    Clear(env);
    napi_create_reference(env, value, 1, &reference_);
  }

  bool Get(napi_env env, napi_value* out) const {
    return reference_ != nullptr && napi_get_reference_value(env, reference_, out) == napi_ok && *out != nullptr;
  }

  void Clear(napi_env env) {
    if (reference_ != nullptr) napi_delete_reference(env, reference_);
    reference_ = nullptr;
  }

 private:
  napi_ref reference_ = nullptr;
};

struct Environment {
  static Environment* Get(napi_env env) {
    void* data = nullptr;
    napi_get_instance_data(env, &data);
    return static_cast<Environment*>(data);
  }

  Reference uint8_array;         // the constructor
  Reference scratch;             // what goes in and out beside the arguments of an attempt
  int32_t* words = nullptr;       // its memory
  Reference shared_byte_length;  // SharedArrayBuffer.prototype's byteLength getter
  std::shared_ptr<Loop> loop;
  std::shared_ptr<Runner> runner;
  std::shared_ptr<Readiness> readiness;
  std::shared_ptr<Watches> watches;
  std::shared_ptr<MappedMemory> mapped;
  // Descriptors that JavaScript holds in a scope. A worker that is terminated runs no finalizers: what is left here is
  // closed when its environment goes.
  std::unordered_set<int> descriptors;
  std::unordered_map<void*, size_t> reserved;  // memory to lend, by its addresses: see memory.cc
  std::unordered_map<int, Ring*> rings;  // by their descriptors
  // Some call could not be ended in time: the kernel may still write to memory that it was lent, which must stay.
  bool kernel_holds_memory = false;
};

}  // namespace effect_linux

#endif  // EFFECT_LINUX_ENVIRONMENT_H_
