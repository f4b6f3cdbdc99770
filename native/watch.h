// Descriptors that are waited for again and again: registered once with an epoll instance, and told by level for as long as
// JavaScript does not say otherwise. What waits for which, and when it is told, is JavaScript's to know: see watches.ts.
#ifndef EFFECT_LINUX_WATCH_H_
#define EFFECT_LINUX_WATCH_H_

#include <node_api.h>

namespace effect_linux {

void InitWatch(napi_env env, napi_value exports);

}  // namespace effect_linux

#endif  // EFFECT_LINUX_WATCH_H_
