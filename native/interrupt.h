// How a call that stands in the kernel is given up: a real-time signal, and threads that take no other. Nothing here
// knows of JavaScript.
#ifndef EFFECT_LINUX_INTERRUPT_H_
#define EFFECT_LINUX_INTERRUPT_H_

#include <pthread.h>

#include "stub.h"

namespace effect_linux {

// The real-time signal that ends a blocked call, 0 if all are taken: the highest that nobody has claimed when it is
// first needed.
int InterruptSignal();

// A joinable thread with all signals blocked; `entry` calls BeginThread first of all, with the name that
// it has in ps and debuggers. Returns 0 or an errno.
int StartThread(pthread_t* thread, void* (*entry)(void*), void* argument);
void BeginThread(const char* name);

// Makes the call. Setting `*cancelled` and then sending the thread InterruptSignal makes it return -EINTR, at whatever
// moment that happens.
long InvokeInterruptible(const volatile int* cancelled, const SystemCall& call);

}  // namespace effect_linux

#endif  // EFFECT_LINUX_INTERRUPT_H_
