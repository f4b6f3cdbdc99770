// Attempts of calls on paths, and of calls on descriptors that are about metadata: with what the kernel has cached, on
// file systems that answer for it without waiting.
#ifndef EFFECT_LINUX_PATH_H_
#define EFFECT_LINUX_PATH_H_

#include "attempt.h"

namespace effect_linux {

Status TryPath(Trial* trial);

}  // namespace effect_linux

#endif  // EFFECT_LINUX_PATH_H_
