#include "arguments.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "environment.h"

namespace effect_linux {

namespace {

constexpr double kMaxSafe = 9007199254740991.0;
constexpr size_t kMostPieces = 1024;  // UIO_MAXIOV
constexpr int64_t kMaxSafeInteger = 9007199254740991;

void Throw(napi_env env, bool range, const char* code, const char* format, va_list list) {
  char message[256];
  vsnprintf(message, sizeof message, format, list);
  if (range) {
    napi_throw_range_error(env, code, message);
  } else {
    napi_throw_type_error(env, code, message);
  }
}

const char* TypeName(napi_valuetype type) {
  switch (type) {
    case napi_undefined: return "undefined";
    case napi_null: return "null";
    case napi_boolean: return "a boolean";
    case napi_number: return "a number";
    case napi_string: return "a string";
    case napi_symbol: return "a symbol";
    case napi_object: return "an object that is no buffer";
    case napi_function: return "a function";
    case napi_external: return "an external";
    case napi_bigint: return "a bigint";
  }
  return "an unknown value";
}

// Index 0 is the number of the call; arguments count from 1, as a reader of the call's prototype counts them.
void NameArgument(char (&name)[32], size_t index) {
  if (index == 0) {
    snprintf(name, sizeof name, "system call number");
  } else {
    snprintf(name, sizeof name, "argument %zu", index);
  }
}

bool ThrowWrongType(napi_env env, size_t index, napi_valuetype type) {
  char name[32];
  NameArgument(name, index);
  ThrowType(env, "ERR_INVALID_ARG_TYPE", "%s: expected %s, got %s", name,
            index == 0 ? "a number" : "a number, bigint, buffer, view, list of views or null", TypeName(type));
  return false;
}

// Written so that NaN fails too; the conversion comes first as it costs less than asking libm.
bool IsSafe(double number) {
  return std::fabs(number) <= kMaxSafe && static_cast<double>(static_cast<int64_t>(number)) == number;
}

bool DecodeNumber(napi_env env, size_t index, napi_value value, long* out) {
  double number = 0;
  napi_get_value_double(env, value, &number);
  if (!IsSafe(number)) {
    char name[32];
    NameArgument(name, index);
    ThrowRange(env, "ERR_OUT_OF_RANGE", "%s: %.17g is not a safe integer", name, number);
    return false;
  }
  *out = static_cast<long>(static_cast<int64_t>(number));
  return true;
}

bool DecodeBigint(napi_env env, size_t index, napi_value value, long* out) {
  int sign = 0;
  size_t words = 1;
  uint64_t word = 0;
  napi_get_value_bigint_words(env, value, &sign, &words, &word);
  if (words == 0) word = 0;
  const bool fits = words <= 1 && (sign == 0 || word <= (uint64_t{1} << 63));
  if (!fits) {
    char name[32];
    NameArgument(name, index);
    ThrowRange(env, "ERR_OUT_OF_RANGE", "%s: the bigint does not fit in 64 bits", name);
    return false;
  }
  *out = static_cast<long>(sign ? ~word + 1 : word);
  return true;
}

bool ThrowDetached(napi_env env, size_t index) {
  char name[32];
  NameArgument(name, index);
  ThrowType(env, "ERR_DETACHED", "%s: its ArrayBuffer is detached", name);
  return false;
}

enum class Found { kMemory, kNotMemory, kThrown };

// A SharedArrayBuffer is not an ArrayBuffer to Node-API, so its memory is reached through a view made for the purpose.
// The brand check is the built-in byteLength getter: instanceof would miss one of another realm.
Found DecodeShared(napi_env env, napi_value value, Memory* out) {
  Environment* self = Environment::Get(env);
  napi_value getter, length, constructor, view;
  if (!self->shared_byte_length.Get(env, &getter)) return Found::kNotMemory;
  if (napi_call_function(env, value, getter, 0, nullptr, &length) != napi_ok) {
    napi_value ignored;
    bool pending = false;
    napi_is_exception_pending(env, &pending);
    if (pending) napi_get_and_clear_last_exception(env, &ignored);
    return Found::kNotMemory;
  }
  if (!self->uint8_array.Get(env, &constructor)) return Found::kNotMemory;
  if (napi_new_instance(env, constructor, 1, &value, &view) != napi_ok) return Found::kThrown;
  napi_get_typedarray_info(env, view, nullptr, &out->length, &out->data, nullptr, nullptr);
  out->shared = true;
  if (out->length == 0) out->data = EmptyAddress();
  return Found::kMemory;
}

bool IsShared(napi_env env, napi_value buffer) {
  bool plain = false;
  napi_is_arraybuffer(env, buffer, &plain);
  return !plain;
}

size_t ElementSize(napi_typedarray_type type) {
  switch (type) {
    case napi_int16_array:
    case napi_uint16_array: return 2;
    case napi_int32_array:
    case napi_uint32_array:
    case napi_float32_array: return 4;
    case napi_float64_array:
    case napi_bigint64_array:
    case napi_biguint64_array: return 8;
    case napi_int8_array:
    case napi_uint8_array:
    case napi_uint8_clamped_array: return 1;
    default: return 2;  // float16, which older headers do not name
  }
}

// `whose`: whether to find out if the memory is shared, which only calls on other threads need to know.
Found DecodeMemory(napi_env env, size_t index, napi_value value, bool whose, Memory* out) {
  out->value = value;
  napi_value buffer = nullptr;
  bool is = false;
  auto type = static_cast<napi_typedarray_type>(-1);
  size_t elements = 0;
  // Tried before it is asked about, and without its buffer, which costs a handle: most memory is a plain typed array.
  if (napi_get_typedarray_info(env, value, &type, &elements, &out->data, nullptr, nullptr) == napi_ok) {
    out->length = elements * ElementSize(type);
    if (whose || out->length == 0) {
      napi_get_typedarray_info(env, value, nullptr, nullptr, nullptr, &buffer, nullptr);
    }
  } else if (napi_is_arraybuffer(env, value, &is) == napi_ok && is) {
    napi_get_arraybuffer_info(env, value, &out->data, &out->length);
    buffer = value;
  } else if (napi_is_dataview(env, value, &is) == napi_ok && is) {
    // On a detached buffer this call throws rather than answers.
    if (napi_get_dataview_info(env, value, &out->length, &out->data, &buffer, nullptr) != napi_ok) {
      napi_value ignored;
      napi_get_and_clear_last_exception(env, &ignored);
      ThrowDetached(env, index);
      return Found::kThrown;
    }
  } else {
    return DecodeShared(env, value, out);
  }
  if (whose) out->shared = IsShared(env, buffer);
  if (out->length == 0) {
    bool detached = false;
    if (!IsShared(env, buffer)) napi_is_detached_arraybuffer(env, buffer, &detached);
    if (detached) {
      ThrowDetached(env, index);
      return Found::kThrown;
    }
    out->data = EmptyAddress();
  }
  return Found::kMemory;
}

// The elements are all fetched before the first address is taken: fetching one may run a getter, and that may detach a
// buffer.
bool FetchElements(napi_env env, size_t index, napi_value value, std::vector<napi_value>* elements) {
  uint32_t length = 0;
  napi_get_array_length(env, value, &length);
  if (length > kMostPieces) {
    char name[32];
    NameArgument(name, index);
    ThrowRange(env, "ERR_OUT_OF_RANGE", "%s: a list of %u buffers, and the kernel takes %zu", name, length, kMostPieces);
    return false;
  }
  elements->resize(length);
  for (uint32_t i = 0; i < length; i++) {
    if (napi_get_element(env, value, i, &(*elements)[i]) != napi_ok) return false;
  }
  return true;
}

bool DecodeVector(napi_env env, size_t index, const std::vector<napi_value>& elements, std::vector<iovec>* vector,
                  std::vector<Memory>* memories) {
  vector->reserve(elements.size() + 1);
  for (size_t i = 0; i < elements.size(); i++) {
    Memory memory;
    switch (DecodeMemory(env, index, elements[i], memories != nullptr, &memory)) {
      case Found::kThrown: return false;
      case Found::kNotMemory: {
        char name[32];
        NameArgument(name, index);
        ThrowType(env, "ERR_INVALID_ARG_TYPE", "%s: element %zu of the list is no buffer or view", name, i);
        return false;
      }
      case Found::kMemory: break;
    }
    vector->push_back({memory.data, memory.length});
    if (memories != nullptr) memories->push_back(memory);
  }
  if (vector->empty()) vector->push_back({EmptyAddress(), 0});  // so that data() is an address
  return true;
}

// Words without memory. kNotMemory here means "look further".
enum class Word { kDone, kObject, kThrown };

Word DecodeWord(napi_env env, size_t index, napi_value value, long* out) {
  // Most words are numbers, and asking for one says whether it is.
  double number;
  if (napi_get_value_double(env, value, &number) == napi_ok && IsSafe(number)) {
    *out = static_cast<long>(static_cast<int64_t>(number));
    return Word::kDone;
  }
  napi_valuetype type = napi_undefined;
  napi_typeof(env, value, &type);
  switch (type) {
    case napi_number: return DecodeNumber(env, index, value, out) ? Word::kDone : Word::kThrown;
    case napi_bigint: return DecodeBigint(env, index, value, out) ? Word::kDone : Word::kThrown;
    case napi_null: *out = 0; return Word::kDone;
    case napi_object: return Word::kObject;
    default: ThrowWrongType(env, index, type); return Word::kThrown;
  }
}

bool DecodeNumberOfCall(napi_env env, size_t count, const napi_value* values, long* number) {
  if (count > 7) {
    ThrowType(env, "ERR_INVALID_ARG_VALUE", "a system call takes at most 6 arguments, got %zu", count - 1);
    return false;
  }
  double plain;
  if (count > 0 && napi_get_value_double(env, values[0], &plain) == napi_ok && IsSafe(plain)) {
    *number = static_cast<long>(static_cast<int64_t>(plain));
  } else {
    napi_valuetype type = napi_undefined;
    if (count > 0) napi_typeof(env, values[0], &type);
    if (type != napi_number) return ThrowWrongType(env, 0, type);
    if (!DecodeNumber(env, 0, values[0], number)) return false;
  }
  // The kernel looks at the lower half only, and would make another call.
  if (*number < INT32_MIN || *number > INT32_MAX) {
    ThrowRange(env, "ERR_OUT_OF_RANGE", "system call number: %ld does not fit in 32 bits", *number);
    return false;
  }
  return true;
}

}  // namespace

void ThrowType(napi_env env, const char* code, const char* format, ...) {
  va_list list;
  va_start(list, format);
  Throw(env, false, code, format, list);
  va_end(list);
}

void ThrowRange(napi_env env, const char* code, const char* format, ...) {
  va_list list;
  va_start(list, format);
  Throw(env, true, code, format, list);
  va_end(list);
}

void* EmptyAddress() {
  static void* const page = [] {
    void* mapped = mmap(nullptr, static_cast<size_t>(sysconf(_SC_PAGESIZE)), PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    // Without memory for one page the first page of the address space serves: it is never mapped, and not null.
    return mapped == MAP_FAILED ? reinterpret_cast<void*>(1) : mapped;
  }();
  return page;
}

namespace {

// What an argument is, before any address is taken: a word is decoded already, the elements of a list are fetched.
struct Form {
  enum class Kind { kWord, kMemory, kList };
};

bool IsList(napi_env env, napi_value value) {
  bool is = false;
  napi_is_array(env, value, &is);
  return is;
}

// Everything that can run JavaScript happens here. Most calls have no list, and allocate nothing.
bool DecodeForms(napi_env env, size_t count, const napi_value* values, long* words, Form::Kind* kinds,
                 std::vector<std::vector<napi_value>>* lists) {
  for (size_t i = 1; i < count; i++) {
    switch (DecodeWord(env, i, values[i], &words[i - 1])) {
      case Word::kDone: kinds[i - 1] = Form::Kind::kWord; continue;
      case Word::kThrown: return false;
      case Word::kObject: break;
    }
    if (!IsList(env, values[i])) {
      kinds[i - 1] = Form::Kind::kMemory;
      continue;
    }
    kinds[i - 1] = Form::Kind::kList;
    lists->emplace_back();
    if (!FetchElements(env, i, values[i], &lists->back())) return false;
  }
  return true;
}

}  // namespace

bool DecodeNumbers(napi_env env, size_t count, const napi_value* values, SystemCall* call) {
  if (count == 0 || count > 7) return false;
  double number;
  if (napi_get_value_double(env, values[0], &number) != napi_ok || !(std::fabs(number) <= INT32_MAX)) return false;
  call->number = static_cast<long>(number);
  if (static_cast<double>(call->number) != number) return false;
  size_t i = 1;
  for (; i < count; i++) {
    if (napi_get_value_double(env, values[i], &number) != napi_ok || !IsSafe(number)) return false;
    call->arguments[i - 1] = static_cast<long>(static_cast<int64_t>(number));
  }
  for (; i < 7; i++) call->arguments[i - 1] = 0;
  return true;
}

bool DecodeCall(napi_env env, size_t count, const napi_value* values, SystemCall* call,
                std::vector<std::vector<iovec>>* vectors) {
  if (!DecodeNumberOfCall(env, count, values, &call->number)) return false;
  Form::Kind kinds[6];
  std::vector<std::vector<napi_value>> lists;
  if (!DecodeForms(env, count, values, call->arguments, kinds, &lists)) return false;
  if (!lists.empty()) vectors->reserve(lists.size());
  for (size_t i = 1; i < count; i++) {
    long* word = &call->arguments[i - 1];
    if (kinds[i - 1] == Form::Kind::kMemory) {
      Memory memory;
      switch (DecodeMemory(env, i, values[i], false, &memory)) {
        case Found::kMemory: *word = reinterpret_cast<long>(memory.data); break;
        case Found::kThrown: return false;
        case Found::kNotMemory: return ThrowWrongType(env, i, napi_object);
      }
    } else if (kinds[i - 1] == Form::Kind::kList) {
      vectors->emplace_back();
      if (!DecodeVector(env, i, lists[vectors->size() - 1], &vectors->back(), nullptr)) return false;
      *word = reinterpret_cast<long>(vectors->back().data());
    }
  }
  for (size_t i = count; i < 7; i++) call->arguments[i == 0 ? 0 : i - 1] = 0;
  return true;
}

bool DecodeArguments(napi_env env, size_t count, const napi_value* values, Arguments* out) {
  if (!DecodeNumberOfCall(env, count, values, &out->number)) return false;
  out->count = count - 1;
  long words[6] = {};
  Form::Kind kinds[6];
  std::vector<std::vector<napi_value>> lists;
  if (!DecodeForms(env, count, values, words, kinds, &lists)) return false;
  size_t list = 0;
  for (size_t i = 1; i < count; i++) {
    Argument& argument = out->list[i - 1];
    switch (kinds[i - 1]) {
      case Form::Kind::kWord: argument.word = words[i - 1]; break;
      case Form::Kind::kMemory:
        argument.kind = Argument::Kind::kMemory;
        switch (DecodeMemory(env, i, values[i], true, &argument.memory)) {
          case Found::kMemory: break;
          case Found::kThrown: return false;
          case Found::kNotMemory: return ThrowWrongType(env, i, napi_object);
        }
        break;
      case Form::Kind::kList:
        argument.kind = Argument::Kind::kVector;
        if (!DecodeVector(env, i, lists[list++], &argument.vector, &argument.memories)) return false;
        break;
    }
  }
  return true;
}

napi_value MakeResult(napi_env env, long result) {
  napi_value value;
  if (result >= INT32_MIN && result <= INT32_MAX) {
    napi_create_int32(env, static_cast<int32_t>(result), &value);
  } else if (result >= -kMaxSafeInteger && result <= kMaxSafeInteger) {
    napi_create_int64(env, result, &value);
  } else {
    napi_create_bigint_int64(env, result, &value);
  }
  return value;
}

}  // namespace effect_linux
