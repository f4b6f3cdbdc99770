// Who may unmap, and when: the caller may once `hide` has detached the ArrayBuffer, for then no view reaches the memory.
// But JavaScript can have moved the memory into another ArrayBuffer before (structuredClone with a transfer list, an
// ArrayBuffer's own transfer()), and that one cannot be found. Then the addresses stay taken: the caller lays fresh
// zero pages over the mapping, which lets go of the file or the guest's memory behind it, and the addresses are
// released when the runtime reports that no buffer shows them any more.
#include "memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <memory>

#include "arguments.h"
#include "environment.h"

namespace effect_linux {

struct Shown {
  void* address = nullptr;
  size_t length = 0;
  bool retired = false;  // unmap when the last buffer is gone
  std::shared_ptr<MappedMemory> registry;
};

class MappedMemory {
 public:
  std::map<void*, Shown*> by_address;

  // Whether it was still there: its owner has not released it.
  bool Forget(const Shown* shown) {
    auto found = by_address.find(shown->address);
    // The address may meanwhile belong to a newer mapping.
    if (found == by_address.end() || found->second != shown) return false;
    by_address.erase(found);
    return true;
  }
};

namespace {

// Whether no JavaScript runs in the environment any more: every question to an object is refused then.
bool IsGoing(napi_env env) {
  napi_value global;
  bool has = false;
  return napi_get_global(env, &global) != napi_ok || napi_has_named_property(env, global, "Object", &has) != napi_ok;
}

// The runtime no longer shows the memory to anybody. Called on the JavaScript thread, some time after the fact; for what
// was never released, when the environment goes, before its hooks are run.
void OnUnreachable(napi_env env, void*, void* hint) {
  std::unique_ptr<Shown> shown(static_cast<Shown*>(hint));
  const bool never_released = shown->registry->Forget(shown.get()) && IsGoing(env);
  if (shown->retired || never_released) munmap(shown->address, shown->length);
}

// show(address, length, mapped): ArrayBuffer over the first bytes of memory that is mapped there, `mapped` bytes long.
napi_value Show(napi_env env, napi_callback_info info) {
  size_t count = 3;
  napi_value values[4];
  napi_get_cb_info(env, info, &count, values + 1, nullptr, nullptr);
  napi_create_int32(env, 0, &values[0]);
  SystemCall call{};
  std::vector<std::vector<iovec>> vectors;
  if (!DecodeCall(env, 4, values, &call, &vectors)) return nullptr;
  auto* shown = new Shown;
  shown->address = reinterpret_cast<void*>(call.arguments[0]);
  const size_t length = static_cast<size_t>(call.arguments[1]);
  shown->length = static_cast<size_t>(call.arguments[2]);
  shown->registry = Environment::Get(env)->mapped;
  napi_value buffer;
  if (napi_create_external_arraybuffer(env, shown->address, length, OnUnreachable, shown, &buffer) != napi_ok) {
    // Some versions of Node have called the finalizer by now and some have not, so the record is not freed here: a few
    // bytes lost on a path that means there is no memory.
    bool pending = false;
    napi_is_exception_pending(env, &pending);
    if (!pending) {
      ThrowRange(env, "ERR_OUT_OF_RANGE", "length: no ArrayBuffer of %ld bytes can be made", call.arguments[1]);
    }
    return nullptr;
  }
  Environment::Get(env)->mapped->by_address[shown->address] = shown;
  return buffer;
}

bool DecodeAddress(napi_env env, napi_value value, void** address) {
  napi_value words[2] = {nullptr, value};
  napi_create_int32(env, 0, &words[0]);
  SystemCall call{};
  std::vector<std::vector<iovec>> vectors;
  if (!DecodeCall(env, 2, words, &call, &vectors)) return false;
  *address = reinterpret_cast<void*>(call.arguments[0]);
  return true;
}

// Forgets what is shown at an address. True: nothing shows it any more, as far as this file can tell. False: something
// may, and the addresses are released when the runtime says that it does not.
bool Retire(napi_env env, void* address, bool unreachable) {
  auto& map = Environment::Get(env)->mapped->by_address;
  auto found = map.find(address);
  // A record that is gone means that the runtime has already let go of the memory.
  if (found == map.end()) return true;
  found->second->retired = !unreachable;
  map.erase(found);
  return unreachable;
}

// hide(buffer, address): detaches the buffer. True: nothing can reach the memory, unmap it. False: it was moved to a
// buffer that still lives; cover it, and do not unmap.
napi_value Hide(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value values[2];
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  void* address = nullptr;
  bool is = false;
  if (count != 2 || napi_is_arraybuffer(env, values[0], &is) != napi_ok || !is) {
    ThrowType(env, "ERR_INVALID_ARG_TYPE", "hide(buffer, address)");
    return nullptr;
  }
  if (!DecodeAddress(env, values[1], &address)) return nullptr;
  bool moved = false;
  void* data = nullptr;
  size_t length = 0;
  napi_is_detached_arraybuffer(env, values[0], &moved);
  napi_get_arraybuffer_info(env, values[0], &data, &length);
  // A buffer over other memory is not the one that was shown.
  moved = moved || data != address;
  if (!moved) napi_detach_arraybuffer(env, values[0]);
  napi_value result;
  napi_get_boolean(env, Retire(env, address, !moved), &result);
  return result;
}

// abandon(address): the buffer that shows it cannot be detached. Returns what hide does.
napi_value Abandon(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value value, result;
  napi_get_cb_info(env, info, &count, &value, nullptr, nullptr);
  void* address = nullptr;
  if (!DecodeAddress(env, value, &address)) return nullptr;
  napi_get_boolean(env, Retire(env, address, false), &result);
  return result;
}

int DescriptorArgument(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value value;
  int fd = -1;
  napi_get_cb_info(env, info, &count, &value, nullptr, nullptr);
  if (count >= 1) napi_get_value_int32(env, value, &fd);
  return fd;
}

// own(fd): the descriptor is to be closed with the environment, at the latest.
napi_value Own(napi_env env, napi_callback_info info) {
  const int fd = DescriptorArgument(env, info);
  if (fd >= 0) Environment::Get(env)->descriptors.insert(fd);
  return nullptr;
}

// disown(fd): it is closed, or somebody else's.
napi_value Disown(napi_env env, napi_callback_info info) {
  Environment::Get(env)->descriptors.erase(DescriptorArgument(env, info));
  return nullptr;
}

// reserve(length): an ArrayBuffer of fresh memory that is lent to the kernel, or -errno. Unlike what is shown, it is not
// unmapped when its buffer is collected, as the environment's end does before what is in flight has been called back.
napi_value Reserve(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value value, result;
  int64_t length = 0;
  napi_get_cb_info(env, info, &count, &value, nullptr, nullptr);
  if (count >= 1) napi_get_value_int64(env, value, &length);
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* memory = mmap(nullptr, static_cast<size_t>(length), PROT_READ | PROT_WRITE, flags, -1, 0);
  if (memory == MAP_FAILED) {
    napi_create_int32(env, -errno, &result);
    return result;
  }
  if (napi_create_external_arraybuffer(env, memory, static_cast<size_t>(length), nullptr, nullptr, &result) != napi_ok) {
    munmap(memory, static_cast<size_t>(length));
    return nullptr;
  }
  Environment::Get(env)->reserved.emplace(memory, static_cast<size_t>(length));
  return result;
}

// unreserve(buffer): detaches and unmaps it; the kernel has let go of it.
napi_value Unreserve(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value value;
  void* data = nullptr;
  napi_get_cb_info(env, info, &count, &value, nullptr, nullptr);
  if (napi_get_arraybuffer_info(env, value, &data, nullptr) != napi_ok) return nullptr;
  auto& reserved = Environment::Get(env)->reserved;
  const auto found = reserved.find(data);
  if (found == reserved.end()) return nullptr;
  napi_detach_arraybuffer(env, value);
  munmap(found->first, found->second);
  reserved.erase(found);
  return nullptr;
}

}  // namespace

void ReleaseLeftovers(Environment* environment) {
  for (const int fd : environment->descriptors) close(fd);
  environment->descriptors.clear();
  // What the kernel may still write to must stay where it is.
  if (environment->kernel_holds_memory) return;
  for (const auto& entry : environment->reserved) munmap(entry.first, entry.second);
  environment->reserved.clear();
  // No JavaScript runs any more that could look into it.
  for (const auto& entry : environment->mapped->by_address) munmap(entry.second->address, entry.second->length);
  environment->mapped->by_address.clear();
}

void InitMemory(napi_env env, napi_value exports) {
  Environment::Get(env)->mapped = std::make_shared<MappedMemory>();
  const napi_property_descriptor properties[] = {
      {"show", nullptr, Show, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"own", nullptr, Own, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"disown", nullptr, Disown, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"abandon", nullptr, Abandon, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"reserve", nullptr, Reserve, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"unreserve", nullptr, Unreserve, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"hide", nullptr, Hide, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
  };
  napi_define_properties(env, exports, sizeof properties / sizeof *properties, properties);
}

}  // namespace effect_linux
