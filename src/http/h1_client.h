// HTTP/1 client connection: one call at a time, kept alive between calls.
#pragma once

#include "http/client_codec.h"
#include "http/h1_body.h"

namespace lateen::http::h1 {

class ClientCodec final : public http::ClientCodec, private Call::Holder {
 public:
  ClientCodec(event::Loop& loop, std::unique_ptr<net::Stream> stream, const ClientOptions& options,
              Events& events);
  ~ClientCodec() override;

  void start(Call& call) override;
  bool has_room() const override {
    return !is_closed_ && !is_draining_ && !is_exhausted_ && stage_ == Stage::kIdle;
  }
  std::size_t active_count() const override { return stage_ == Stage::kIdle || is_closed_ ? 0 : 1; }
  void drain() override;

 private:
  enum class Stage : unsigned char { kIdle, kHead, kBody };
  class ResponseBody final : public BodySource {
   public:
    explicit ResponseBody(ClientCodec& codec) : codec_(&codec) {}
    ~ResponseBody() override {
      if (codec_ != nullptr) codec_->drop_response_body();
    }
    std::optional<Result<Chunk>> poll(Waker waker) override;
    // The connection is gone or done with us.
    void detach(std::optional<Error> why) {
      codec_ = nullptr;
      why_ = std::move(why);
    }
    Waker waker{};

   private:
    ClientCodec* codec_;
    std::optional<Error> why_;
  };

  // Runs `code`, which may destroy us; false when it did.
  template <typename Code>
  bool survives(Code&& code) {
    bool is_gone = false;
    bool* outer = std::exchange(is_gone_, &is_gone);
    code();
    if (!is_gone) is_gone_ = outer;
    else if (outer != nullptr) *outer = true;
    return !is_gone;
  }

  void forget(Call& call) override;
  void ready(bool readable, bool writable);
  void fill();
  void advance();
  bool write_head();
  void pump_request();
  bool append_request_chunk(Chunk& chunk);
  void read_head();
  bool take_head(std::string_view text);
  void deliver(Response response, const HeadFacts& facts);
  std::optional<Result<Chunk>> poll_response_body(Waker waker);
  void drop_response_body();
  void wake_response_body();
  void finish_response();
  void drop_request_body();
  bool flush();
  void break_off(Error error);
  void close_now();

  event::Loop& loop_;
  const ClientOptions& options_;
  Events& events_;
  std::unique_ptr<net::Stream> stream_;
  Buffer in_;
  Buffer out_;
  HeadScanner scan_;
  BodyDecoder decoder_;
  Call* call_ = nullptr;                   // deletes itself through its scope
  Exchange* exchange_ = nullptr;           // of the response under way
  ResponseBody* response_body_ = nullptr;  // owned by the caller
  Body request_body_;
  Framing out_framing_ = Framing::kNone;
  std::uint64_t out_left_ = 0;
  Stage stage_ = Stage::kIdle;
  bool is_head_request_ = false;
  bool is_tunnel_ = false;
  bool is_keep_alive_ = true;
  bool is_upload_done_ = true;
  bool is_upload_held_ = false;  // until the upgrade is accepted
  bool is_pumping_ = false;
  bool is_blocked_ = false;  // the upload waits for room in the socket
  bool may_read_ = true;
  bool is_eof_ = false;
  bool is_starting_ = false;  // inside start()
  bool is_draining_ = false;
  bool is_exhausted_ = false;  // max_requests_per_connection reached
  bool is_closed_ = false;
  std::uint32_t call_count_ = 0;
  bool* is_gone_ = nullptr;  // set by the destructor for a frame that called out
  event::Scope scope_;
};

}  // namespace lateen::http::h1
