// From JavaScript values to the machine words of a system call. What may be passed, and every refusal, is decided here.
//
// A wrong type is a TypeError, a right type with a value outside its range a RangeError, a view whose buffer was
// detached a TypeError with code "ERR_DETACHED". Each message names the argument.
#ifndef EFFECT_LINUX_ARGUMENTS_H_
#define EFFECT_LINUX_ARGUMENTS_H_

#include <node_api.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "stub.h"

namespace effect_linux {

// Memory that JavaScript owns, as a call sees it.
struct Memory {
  napi_value value = nullptr;  // the view or buffer itself
  void* data = nullptr;
  size_t length = 0;
  bool shared = false;  // a SharedArrayBuffer's: it cannot be detached
};

// One decoded argument. A list of views becomes an array of iovec, which lives as long as this does.
struct Argument {
  enum class Kind { kWord, kMemory, kVector };
  Kind kind = Kind::kWord;
  long word = 0;
  Memory memory;
  std::vector<Memory> memories;
  std::vector<iovec> vector;
};

struct Arguments {
  long number = 0;
  size_t count = 0;
  Argument list[6];
};

// The quick way for a call whose arguments are all numbers. False, with nothing thrown, where it is no such call.
bool DecodeNumbers(napi_env env, size_t count, const napi_value* values, SystemCall* call);

// The words of the common case, where nothing of the memory must be remembered. False: an exception is pending.
bool DecodeCall(napi_env env, size_t count, const napi_value* values, SystemCall* call,
                std::vector<std::vector<iovec>>* vectors);

// The same, but remembering what memory belongs to which argument, for calls that outlive the JavaScript frame.
bool DecodeArguments(napi_env env, size_t count, const napi_value* values, Arguments* out);

// What the kernel returned, as a number where that is exact and as a bigint where it is not.
napi_value MakeResult(napi_env env, long result);

// A non-null address at which nothing can be read or written: what an empty view is passed as, so that the kernel
// answers EFAULT to a length that the view does not have, and does not take an empty view for an absent one.
void* EmptyAddress();

void ThrowType(napi_env env, const char* code, const char* format, ...) __attribute__((format(printf, 3, 4)));
void ThrowRange(napi_env env, const char* code, const char* format, ...) __attribute__((format(printf, 3, 4)));

}  // namespace effect_linux

#endif  // EFFECT_LINUX_ARGUMENTS_H_
