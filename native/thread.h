// Calls made on other threads, so that a wait in the kernel holds up no JavaScript: one-shot threads for calls at large,
// and threads of their own for callers that need the same one every time (a vCPU).
#ifndef EFFECT_LINUX_THREAD_H_
#define EFFECT_LINUX_THREAD_H_

#include <node_api.h>

namespace effect_linux {

struct Environment;

void InitThread(napi_env env, napi_value exports);

// Calls back every call in flight and ends every thread, for when the environment goes.
void TearDownThreads(Environment* environment);

}  // namespace effect_linux

#endif  // EFFECT_LINUX_THREAD_H_
