// Memory that the kernel mapped, shown to JavaScript as an ArrayBuffer that can be taken back.
#ifndef EFFECT_LINUX_MEMORY_H_
#define EFFECT_LINUX_MEMORY_H_

#include <node_api.h>

namespace effect_linux {

void InitMemory(napi_env env, napi_value exports);

}  // namespace effect_linux

#endif  // EFFECT_LINUX_MEMORY_H_
