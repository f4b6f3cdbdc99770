// Calls made on the JavaScript thread at once, whatever they do: the raw door.
#ifndef EFFECT_LINUX_CALL_H_
#define EFFECT_LINUX_CALL_H_

#include <node_api.h>

namespace effect_linux {

void InitCall(napi_env env, napi_value exports);

}  // namespace effect_linux

#endif  // EFFECT_LINUX_CALL_H_
