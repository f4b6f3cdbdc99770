// Signals that other threads of the process are to leave alone.
#ifndef EFFECT_LINUX_SIGNALS_H_
#define EFFECT_LINUX_SIGNALS_H_

#include <node_api.h>

namespace effect_linux {

void InitSignals(napi_env env, napi_value exports);

}  // namespace effect_linux

#endif  // EFFECT_LINUX_SIGNALS_H_
