// Waiting until descriptors are ready, on the event loop and without a thread: one epoll instance for each environment,
// which its libuv loop watches. The descriptors themselves are left as they are: libuv would make them non-blocking,
// and has room for one watcher of each.
#ifndef EFFECT_LINUX_READINESS_H_
#define EFFECT_LINUX_READINESS_H_

#include <node_api.h>

namespace effect_linux {

void InitReadiness(napi_env env, napi_value exports);

}  // namespace effect_linux

#endif  // EFFECT_LINUX_READINESS_H_
