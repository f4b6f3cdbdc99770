// Rings of io_uring: their memory, shown to JavaScript, and their part in the event loop. What is submitted and what a
// completion means is JavaScript's business.
#ifndef EFFECT_LINUX_RING_H_
#define EFFECT_LINUX_RING_H_

#include <node_api.h>

namespace effect_linux {

void InitRing(napi_env env, napi_value exports);

}  // namespace effect_linux

#endif  // EFFECT_LINUX_RING_H_
