// A script's run over one direction of an exchange: envoy_on_request or envoy_on_response as a
// coroutine, and what it waits for. Private to this folder.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "proxy/filters/lua/vm.h"
#include "proxy/filters/side_call.h"

namespace lateen::proxy {

struct LuaRun;  // both directions of one exchange; lua.cc

class LuaFlow {
 public:
  enum class Wait : unsigned char { kNothing, kBody, kChunk, kTrailers, kCall };

  LuaFlow(LuaRun& run, LuaVm& vm, bool is_request);
  ~LuaFlow();
  LuaFlow(const LuaFlow&) = delete;

  // Runs the script; `go_on` is called once, when the message may pass.
  void start(const char* function, Function<void()> go_on);

  LuaRun& run() { return run_; }
  bool is_request() const { return is_request_; }
  http::Headers& headers();
  http::Body& body();
  HttpState& stream();

  // For the objects in Lua. The waits return what lua_yield() wants.
  std::uint64_t id() const { return id_; }
  bool has_passed() const { return has_passed_; }
  bool is_whole() const { return whole_.has_value(); }
  Buffer* data() { return chunk_ ? &chunk_->data : whole_ ? &whole_->data : nullptr; }
  bool is_chunk() const { return chunk_.has_value(); }
  // No chunk will come any more.
  bool is_over() const { return is_over_ || whole_ || (chunk_ && chunk_->is_last); }
  http::Headers* trailers();
  void wait_body(bool is_always_wrapped);
  void wait_chunk();
  void wait_trailers();
  // False: no such cluster.
  bool wait_call(const std::string& cluster, SideRequest request, bool is_waited_for);
  bool respond(int status, std::vector<std::pair<std::string, std::string>> fields,
               std::string body);

 private:
  class Source;
  void resume(int count);
  void end();
  void pass();
  void on_chunk(http::Chunk chunk);
  void push_call_result(Result<SideResponse> answer);

  LuaRun& run_;
  LuaVm& vm_;
  const bool is_request_;
  std::uint64_t id_;
  lua_State* thread_ = nullptr;
  int reference_ = 0;
  Wait wait_ = Wait::kNothing;
  bool has_passed_ = false;  // the head is on its way
  bool has_answered_ = false;
  bool is_over_ = false;
  bool is_running_ = false;
  bool is_wrapped_ = false;  // body(true): a buffer object even when there is no body
  Function<void()> go_on_;
  std::optional<WholeBody> whole_;
  std::optional<http::Chunk> chunk_;  // of bodyChunks(): the one that the script looks at
  Source* source_ = nullptr;          // of a body that passes under the script's eyes
};

// Both directions of one exchange.
struct LuaRun {
  LuaRun(HttpState& stream_in, LuaVm& vm_in, http::Request request_in, Next next_in,
         http::Done done_in, std::string filter_in, const data::JsonObject* context_in)
      : stream(stream_in),
        vm(vm_in),
        request(std::move(request_in)),
        next(next_in),
        done(std::move(done_in)),
        filter(std::move(filter_in)),
        context(context_in) {}
  HttpState& stream;
  LuaVm& vm;
  http::Request request;
  Next next;
  http::Done done;
  std::string filter;               // its configured name: of its metadata
  const data::JsonObject* context;  // filter_context of the route; may be null
  std::optional<http::Response> response;
  // What respond() answers: the response's script sees it too.
  Function<void(http::Response)> on_reply;
  std::unique_ptr<LuaFlow> asking, answering;
};

}  // namespace lateen::proxy
