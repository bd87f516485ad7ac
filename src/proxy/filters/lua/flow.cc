// What the coroutine waits for is remembered in wait_; whoever brings it pushes values and resumes.

#include "proxy/filters/lua/flow.h"

#include <luajit-2.1/lua.hpp>

#include "base/log.h"
#include "proxy/filters/lua/objects.h"

namespace lateen::proxy {

namespace {
constexpr std::size_t kMostBody = 1u << 20;
}

// The body on its way on, chunk by chunk through the script.
class LuaFlow::Source final : public http::BodySource {
 public:
  Source(LuaFlow& flow, http::Body inner) : flow_(&flow), inner_(std::move(inner)) {
    flow.source_ = this;
  }
  ~Source() override {
    if (flow_ != nullptr) flow_->source_ = nullptr;
  }
  void detach() { flow_ = nullptr; }

  std::optional<Result<http::Chunk>> poll(http::Waker waker) override {
    waker_ = waker;
    is_polling_ = true;
    if (!ready_ && !is_held_) pull();
    is_polling_ = false;
    if (!ready_) return std::nullopt;
    waker_ = {};
    auto chunk = std::move(*ready_);
    ready_.reset();
    return chunk;
  }
  // The script is done with the chunk.
  void release(http::Chunk chunk) {
    is_held_ = false;
    ready_ = std::move(chunk);
    wake();
  }

 private:
  void pull() {
    auto next = inner_.poll({[](void* self) { static_cast<Source*>(self)->wake(); }, this});
    if (!next) return;
    if (!next->ok() || flow_ == nullptr) {
      ready_ = std::move(*next);
      return;
    }
    is_held_ = true;
    flow_->on_chunk(std::move(**next));
  }
  void wake() {
    if (is_polling_) return;
    const auto waker = std::exchange(waker_, {});
    if (waker.wake != nullptr) waker.wake(waker.context);
  }
  LuaFlow* flow_;
  http::Body inner_;
  http::Waker waker_{};
  std::optional<Result<http::Chunk>> ready_;
  bool is_held_ = false, is_polling_ = false;
};

LuaFlow::LuaFlow(LuaRun& run, LuaVm& vm, bool is_request)
    : run_(run), vm_(vm), is_request_(is_request), id_(vm.add(*this)) {}

LuaFlow::~LuaFlow() {
  vm_.remove(id_);
  if (source_ != nullptr) source_->detach();
  if (thread_ != nullptr) vm_.drop(reference_);
}

http::Headers& LuaFlow::headers() {
  return is_request_ ? run_.request.headers : run_.response->headers;
}
http::Body& LuaFlow::body() { return is_request_ ? run_.request.body : run_.response->body; }
HttpState& LuaFlow::stream() { return run_.stream; }

http::Headers* LuaFlow::trailers() {
  if (chunk_ && chunk_->trailers) return &*chunk_->trailers;
  if (whole_ && whole_->trailers) return &*whole_->trailers;
  return nullptr;
}

void LuaFlow::start(const char* function, Function<void()> go_on) {
  go_on_ = std::move(go_on);
  thread_ = vm_.start(function, reference_);
  push_handle(thread_, *this);
  resume(1);
}

void LuaFlow::resume(int count) {
  wait_ = Wait::kNothing;
  is_running_ = true;
  const auto outcome = vm_.resume(thread_, count);
  is_running_ = false;
  if (outcome == LuaVm::Outcome::kYielded) {
    if (has_answered_) return end();
    // The script asked for the next chunk: the one it has seen goes on.
    if (wait_ == Wait::kChunk || wait_ == Wait::kTrailers) {
      if (!has_passed_) return pass();
      if (chunk_ && source_ != nullptr) source_->release(*std::exchange(chunk_, std::nullopt));
    }
    return;
  }
  if (outcome == LuaVm::Outcome::kFailed) {
    const char* text = lua_tostring(thread_, -1);
    LOG(kError, "lua", "script log: {}", text == nullptr ? "unknown error" : text);
  }
  end();
}

// The script has finished, well or not: everything passes.
void LuaFlow::end() {
  wait_ = Wait::kNothing;
  vm_.drop(reference_);
  thread_ = nullptr;
  if (has_answered_) return;
  if (has_passed_) {
    if (chunk_ && source_ != nullptr) source_->release(*std::exchange(chunk_, std::nullopt));
    return;
  }
  pass();
}

void LuaFlow::pass() {
  has_passed_ = true;
  if (whole_) body() = body_of(*std::exchange(whole_, std::nullopt));
  else if (wait_ != Wait::kNothing && !body().empty())
    body() = http::Body(std::make_unique<Source>(*this, std::move(body())));
  else if (wait_ == Wait::kChunk || wait_ == Wait::kTrailers) {
    // No body: the loop ends before it begins, then the head goes.
    has_passed_ = false;
    is_over_ = true;
    lua_pushnil(thread_);
    return resume(1);
  }
  auto go_on = std::move(go_on_);
  go_on();
}

void LuaFlow::wait_body(bool is_always_wrapped) {
  wait_ = Wait::kBody;
  is_wrapped_ = is_always_wrapped;
  collect_body(stream().exchange.scope, stream().exchange.loop, std::move(body()), kMostBody,
               [this](Result<WholeBody> whole) {
                 if (!whole.ok()) {
                   has_answered_ = true;
                   auto reply = is_request_ ? local_reply(stream(), 413, "Payload Too Large",
                                                          "request_payload_too_large")
                                            : local_reply(stream(), 500, "Internal Server Error",
                                                          "response_payload_too_large");
                   auto done = std::move(run_.done);
                   return done(std::move(reply));
                 }
                 whole_ = *std::move(whole);
                 if (whole_->data.empty() && !is_wrapped_) lua_pushnil(thread_);
                 else push_buffer(thread_, *this);
                 resume(1);
               });
}

void LuaFlow::wait_chunk() { wait_ = Wait::kChunk; }
void LuaFlow::wait_trailers() { wait_ = Wait::kTrailers; }

void LuaFlow::on_chunk(http::Chunk chunk) {
  const bool is_empty_end = chunk.is_last && chunk.data.empty();
  if (thread_ == nullptr || (wait_ != Wait::kChunk && wait_ != Wait::kTrailers))
    return source_->release(std::move(chunk));
  if (wait_ == Wait::kTrailers && !chunk.is_last) return source_->release(std::move(chunk));
  chunk_ = std::move(chunk);
  if (wait_ == Wait::kTrailers) {
    if (chunk_->trailers) push_headers(thread_, *this, true);
    else lua_pushnil(thread_);
  } else if (is_empty_end) {
    lua_pushnil(thread_);
  } else {
    push_buffer(thread_, *this);
  }
  resume(1);
}

void LuaFlow::push_call_result(Result<SideResponse> answer) {
  lua_newtable(thread_);
  const auto set = [&](std::string_view name, std::string_view value) {
    lua_pushlstring(thread_, name.data(), name.size());
    lua_pushlstring(thread_, value.data(), value.size());
    lua_settable(thread_, -3);
  };
  if (!answer.ok()) {
    const bool is_late = answer.error().code() == Code::kDeadlineExceeded;
    set(":status", is_late ? "504" : "503");
    const std::string_view text = is_late ? "upstream request timeout"
                                          : "upstream connect error or disconnect/reset before "
                                            "headers";
    lua_pushlstring(thread_, text.data(), text.size());
    return;
  }
  set(":status", std::to_string(answer->status));
  for (const auto& [name, value] : answer->headers) set(name, value);
  if (answer->body.empty()) lua_pushnil(thread_);
  else lua_pushlstring(thread_, answer->body.data(), answer->body.size());
}

bool LuaFlow::wait_call(const std::string& cluster, SideRequest request, bool is_waited_for) {
  auto target = find_target(stream().info.worker, cluster, false);
  if (!target) {
    if (stream().info.worker.find_cluster(cluster) == nullptr) return false;
    if (!is_waited_for) return true;
    wait_ = Wait::kCall;
    // No host: the answer comes at once, but not inside the script's call.
    event::after(stream().exchange.scope, stream().exchange.loop, nanoseconds(0), [this] {
      push_call_result(unavailable("no healthy upstream", Blame::kUpstream));
      resume(2);
    });
    return true;
  }
  if (!is_waited_for) {
    call_service(stream().exchange.scope, stream().exchange.loop, *std::move(target),
                 std::move(request), [](Result<SideResponse>) {});
    return true;
  }
  wait_ = Wait::kCall;
  call_service(stream().exchange.scope, stream().exchange.loop, *std::move(target),
               std::move(request), [this](Result<SideResponse> answer) {
                 push_call_result(std::move(answer));
                 resume(2);
               });
  return true;
}

bool LuaFlow::respond(int status, std::vector<std::pair<std::string, std::string>> fields,
                      std::string body) {
  if (has_passed_ || has_answered_ || !is_request_) return false;
  has_answered_ = true;
  auto reply = local_reply(stream(), status, std::move(body), "lua_response");
  for (const auto& [name, value] : fields)
    if (name != "content-length" && !name.starts_with(':')) reply.headers.set(name, value);
  auto held = std::make_shared<http::Response>(std::move(reply));
  // After the coroutine has come to rest.
  event::after(stream().exchange.scope, stream().exchange.loop, nanoseconds(0),
               [this, held] { run_.on_reply(std::move(*held)); });
  return true;
}

}  // namespace lateen::proxy
