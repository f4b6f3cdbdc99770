#include "loop.h"

#include <algorithm>

namespace effect_linux {

namespace {

uv_handle_t* Base(uv_any_handle* handle) { return &handle->handle; }

LoopHandle* Of(void* handle) { return static_cast<LoopHandle*>(static_cast<uv_handle_t*>(handle)->data); }

}  // namespace

void LoopHandle::Keep(bool alive) {
  if (alive) {
    uv_ref(Base(&uv_));
  } else {
    uv_unref(Base(&uv_));
  }
}

void LoopHandle::Start(uint64_t first, uint64_t then) {
  // The loop's clock stands still while JavaScript runs.
  uv_update_time(Base(&uv_)->loop);
  uv_timer_start(&uv_.timer, [](uv_timer_t* timer) { Of(timer)->call_(0); }, first, then);
}

void LoopHandle::Watch(int events) {
  uv_poll_start(&uv_.poll, events, [](uv_poll_t* poll, int status, int seen) {
    Of(poll)->call_(status < 0 ? status : seen);
  });
}

void LoopHandle::Stop() {
  switch (Base(&uv_)->type) {
    case UV_POLL: uv_poll_stop(&uv_.poll); break;
    case UV_PREPARE: uv_prepare_stop(&uv_.prepare); break;
    case UV_CHECK: uv_check_stop(&uv_.check); break;
    case UV_TIMER: uv_timer_stop(&uv_.timer); break;
    default: break;
  }
}

void LoopHandle::Close() {
  loop_->Forget(this);
  uv_close(Base(&uv_), [](uv_handle_t* handle) {
    const std::unique_ptr<LoopHandle> self(Of(handle));
    Loop& loop = *self->loop_;
    if (--loop.open_ == 0 && loop.done_) loop.done_();
  });
}

Loop::Loop(napi_env env) : env_(env) { napi_get_uv_event_loop(env, &uv_); }

template <typename T, typename Init>
LoopHandle* Loop::Open(Call call, T uv_any_handle::*member, Init init) {
  if (going_ || uv_ == nullptr) return nullptr;
  auto handle = std::make_unique<LoopHandle>();
  handle->call_ = std::move(call);
  handle->loop_ = shared_from_this();
  if (init(uv_, &(handle->uv_.*member)) != 0) return nullptr;
  Base(&handle->uv_)->data = handle.get();
  uv_unref(Base(&handle->uv_));
  open_++;
  handles_.push_back(handle.get());
  return handle.release();
}

LoopHandle* Loop::OnEvents(int fd, int events, Call call) {
  LoopHandle* handle = Open(std::move(call), &uv_any_handle::poll,
                            [fd](uv_loop_t* loop, uv_poll_t* poll) { return uv_poll_init(loop, poll, fd); });
  if (handle != nullptr) handle->Watch(events);
  return handle;
}

LoopHandle* Loop::BeforeWaiting(Call call) {
  LoopHandle* handle = Open(std::move(call), &uv_any_handle::prepare, uv_prepare_init);
  if (handle != nullptr) uv_prepare_start(&handle->uv_.prepare, [](uv_prepare_t* at) { Of(at)->call_(0); });
  return handle;
}

LoopHandle* Loop::AfterWaiting(Call call) {
  LoopHandle* handle = Open(std::move(call), &uv_any_handle::check, uv_check_init);
  if (handle != nullptr) uv_check_start(&handle->uv_.check, [](uv_check_t* at) { Of(at)->call_(0); });
  return handle;
}

LoopHandle* Loop::Timer(Call call) { return Open(std::move(call), &uv_any_handle::timer, uv_timer_init); }

void Loop::Forget(LoopHandle* handle) { handles_.erase(std::find(handles_.begin(), handles_.end(), handle)); }

void Loop::Enter(const std::function<void()>& body) {
  napi_handle_scope handles;
  if (napi_open_handle_scope(env_, &handles) != napi_ok) return;
  if (context_ == nullptr) {
    napi_value name;
    napi_create_string_utf8(env_, "effect-linux", NAPI_AUTO_LENGTH, &name);
    napi_async_init(env_, nullptr, name, &context_);
  }
  napi_value resource;
  napi_callback_scope scope;
  napi_create_object(env_, &resource);
  if (context_ != nullptr && napi_open_callback_scope(env_, resource, context_, &scope) == napi_ok) {
    body();
    napi_close_callback_scope(env_, scope);
  }
  napi_close_handle_scope(env_, handles);
}

void Loop::CallBack(napi_value function, size_t count, const napi_value* arguments) {
  napi_value receiver;
  napi_get_undefined(env_, &receiver);
  if (napi_call_function(env_, receiver, function, count, arguments, nullptr) == napi_ok) return;
  bool pending = false;
  napi_is_exception_pending(env_, &pending);
  if (!pending) return;
  napi_value error;
  if (napi_get_and_clear_last_exception(env_, &error) == napi_ok) napi_fatal_exception(env_, error);
}

void Loop::Close(std::function<void()> done) {
  const std::shared_ptr<Loop> self = shared_from_this();
  going_ = true;
  while (!ends_.empty()) {
    const std::function<void()> end = std::move(ends_.back());
    ends_.pop_back();
    end();
  }
  if (context_ != nullptr) napi_async_destroy(env_, context_);
  context_ = nullptr;
  while (!handles_.empty()) handles_.back()->Close();
  if (open_ == 0) {
    done();
  } else {
    done_ = std::move(done);
  }
}

}  // namespace effect_linux
