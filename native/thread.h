// What JavaScript sees of calls that are made on other threads: start, interrupt, and threads of their own. How they
// are run stands in pool.h, what they are lent in operation.h.
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
