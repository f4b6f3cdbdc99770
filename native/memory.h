// Memory that the kernel mapped, shown to JavaScript as an ArrayBuffer that can be taken back.
#ifndef EFFECT_LINUX_MEMORY_H_
#define EFFECT_LINUX_MEMORY_H_

#include <node_api.h>

namespace effect_linux {

struct Environment;

void InitMemory(napi_env env, napi_value exports);

// Closes the descriptors and unmaps the memory that nobody has released, for when the environment goes.
void ReleaseLeftovers(Environment* environment);

}  // namespace effect_linux

#endif  // EFFECT_LINUX_MEMORY_H_
