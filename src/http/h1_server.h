// HTTP/1 server connection: one exchange at a time, in order; later pipelined requests wait in the
// read buffer. Reading and requests are in h1_server.cc, responses in h1_server_response.cc.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "http/h1_body.h"
#include "http/server.h"
#include "http/server_codec.h"

namespace lateen::http::h1 {

class ServerCodec final : public http::ServerCodec {
 public:
  ServerCodec(event::Loop& loop, std::unique_ptr<net::Stream> stream, ConnectionInfo info,
              Service& service, const ServerOptions& options,
              Function<void(ServerConnection&)> on_closed);
  ~ServerCodec() override;

  void begin(Buffer already_read) override;
  void ready(bool readable, bool writable) override;

  void drain() override;
  void drain_after_next() override;
  bool is_idle() const override { return active_ == nullptr && in_.empty() && out_.empty(); }
  const ConnectionInfo& info() const override { return info_; }

 private:
  // The service's handle on the request's body; detached when the exchange ends before it.
  class RequestBody final : public BodySource {
   public:
    explicit RequestBody(ServerCodec& server) : server_(&server) {}
    ~RequestBody() override {
      if (server_ != nullptr) server_->drop_request_body();
    }
    std::optional<Result<Chunk>> poll(Waker waker) override;
    void detach() { server_ = nullptr; }

   private:
    ServerCodec* server_;
  };

  // The exchange under way.
  struct Active {
    Active(event::Loop& loop, const ConnectionInfo& info) : exchange(loop, info) {}
    std::uint64_t id = 0;
    std::string_view method;
    std::string_view upgrade;
    Version version = Version::kHttp11;
    bool is_keep_alive = true;
    bool must_send_continue = false;  // the client waits for 100 before it sends its body
    bool is_handling = false;         // inside Service::handle
    bool is_responding = false;       // the final head is in out_
    bool is_tunnel = false;           // both directions are raw bytes now
    bool is_response_done = false;
    RequestBody* request_body = nullptr;     // owned by the service
    std::optional<Result<Response>> answer;  // came inside handle
    Framing out_framing = Framing::kNone;
    std::uint64_t out_left = 0;  // with kLength
    Exchange exchange;
    Body response_body;  // dies before the arena its trailers may use
  };
  // Weak handle for callbacks that may outlive us.
  struct Life {
    ServerCodec* self;
  };

  // Reading (h1_server.cc).
  void fill(std::size_t most_bytes);
  void advance();
  bool start_next();
  void start_exchange(std::string_view head_text);
  void refuse(const Refusal& refusal);
  void discard_rest();
  std::optional<Result<Chunk>> poll_request_body(Waker waker);
  void drop_request_body();
  void wake_request_body();
  bool is_tunnel_over() const;

  // Responding (h1_server_response.cc).
  void respond(std::uint64_t id, Result<Response> result);
  void begin_response(Result<Response> result);
  void write_response_head(const Response& response, std::optional<std::uint64_t> length);
  void send_interim(int status, const Headers& headers);
  void pump_response();
  bool append_chunk(Chunk& chunk);
  void finish_response();
  void finish_exchange();
  void retire_active();
  bool flush();
  void close_when_flushed();
  void abort();
  void close_now();

  // Deadlines.
  void update_deadline();
  void on_timer();

  event::Loop& loop_;
  ConnectionInfo info_;
  Service& service_;
  const ServerOptions& options_;
  Function<void(ServerConnection&)> on_closed_;
  std::unique_ptr<net::Stream> stream_;
  std::shared_ptr<Life> life_;

  Buffer in_;
  Buffer out_;
  HeadScanner scan_;
  BodyDecoder decoder_;
  std::unique_ptr<Active> active_;
  std::vector<std::unique_ptr<Active>>
      retired_;  // freed when no frame of theirs can be on the stack
  Waker request_waker_;

  std::uint64_t last_id_ = 0;
  std::uint32_t request_count_ = 0;
  int foreign_depth_ = 0;  // calls into us from a service's or body's frame
  bool may_read_ = true;   // no kAgain since the last readiness
  bool is_eof_ = false;
  bool is_advancing_ = false;
  bool is_pumping_ = false;
  bool is_blocked_ = false;     // the response waits for room in the socket
  bool is_discarding_ = false;  // the response is out, the request's body is not in yet
  bool is_draining_ = false;
  bool is_closing_ = false;    // close once out_ is flushed
  bool is_lingering_ = false;  // FIN sent; reading away what the client still sends
  bool is_closed_ = false;
  std::uint64_t discarded_bytes_ = 0;

  SteadyTime opened_;
  SteadyTime last_activity_;
  SteadyTime head_started_{};
  SteadyTime linger_until_{};
  SteadyTime armed_due_{};
  event::Timer timer_;
  event::Scope scope_;
};

}  // namespace lateen::http::h1
