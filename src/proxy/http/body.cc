// Counting happens as chunks are pulled, so the numbers are of what was really passed on.

#include "proxy/http/body.h"

#include <algorithm>
#include <deque>

#include "proxy/http/config.h"
#include "proxy/http/filter.h"
#include "proxy/http/router.h"
#include "proxy/worker/worker.h"

namespace lateen::proxy {
namespace {

// Counts gRPC messages by their five-byte prefixes across chunks.
class MessageCounter {
 public:
  std::uint64_t feed(const Buffer& data) {
    std::uint64_t found = 0;
    for (Buffer rest = data.clone(); !rest.empty();) {
      const std::string_view run = rest.front();
      found += feed(run);
      rest.drop(run.size());
    }
    return found;
  }

 private:
  std::uint64_t feed(std::string_view bytes) {
    std::uint64_t found = 0;
    for (std::size_t i = 0; i < bytes.size();) {
      if (left_ > 0) {  // Within a message: bytes are skipped, not looked at.
        const std::uint64_t skipped = std::min<std::uint64_t>(left_, bytes.size() - i);
        left_ -= skipped;
        i += skipped;
        continue;
      }
      if (prefix_ > 0) length_ = length_ << 8 | static_cast<unsigned char>(bytes[i]);
      ++i;
      if (++prefix_ < 5) continue;
      ++found;
      left_ = length_;
      prefix_ = 0;
      length_ = 0;
    }
    return found;
  }

  std::uint64_t left_ = 0;
  std::uint32_t length_ = 0;
  int prefix_ = 0;
};

// HTTP/1 clients' trailers only where configured: servers are known to take them for headers, which
// nothing here has looked at.
bool passes_trailers(const HttpState& stream) {
  return stream.config->are_h1_trailers_passed ||
         (stream.info.request && stream.info.request->version == http::Version::kHttp2);
}

class CountedRequest final : public http::BodySource {
 public:
  CountedRequest(HttpState& stream, http::Body inner) : stream_(stream), inner_(std::move(inner)) {}
  std::optional<Result<http::Chunk>> poll(http::Waker waker) override {
    auto chunk = inner_.poll(waker);
    if (!chunk || !chunk->ok()) return chunk;
    StreamInfo& info = stream_.info;
    stream_.last_activity = info.worker.loop().now();
    info.bytes_received += (*chunk)->data.size();
    if (info.is_grpc) info.request_messages += messages_.feed((*chunk)->data);
    if ((*chunk)->is_last) {
      if (!passes_trailers(stream_)) (*chunk)->trailers.reset();
      info.request_complete = stream_.last_activity;
      if (stream_.router != nullptr) stream_.router->on_request_complete();
    }
    return chunk;
  }

 private:
  HttpState& stream_;
  http::Body inner_;
  MessageCounter messages_;
};

class CountedResponse final : public http::BodySource {
 public:
  CountedResponse(HttpState& stream, http::Body inner)
      : stream_(stream), inner_(std::move(inner)) {}
  std::optional<Result<http::Chunk>> poll(http::Waker waker) override {
    auto chunk = inner_.poll(waker);
    if (!chunk) return chunk;
    StreamInfo& info = stream_.info;
    stream_.last_activity = stream_.last_response_byte = info.worker.loop().now();
    if (!chunk->ok()) {
      info.flags.set(Flag::kUpstreamConnectionEnded);
      info.details = "upstream_reset_after_response_started{connection_termination}";
      info.finished = info.worker.loop().now();
      return chunk;
    }
    info.bytes_sent += (*chunk)->data.size();
    if (info.is_grpc) info.response_messages += messages_.feed((*chunk)->data);
    if ((*chunk)->is_last) {
      info.finished = info.worker.loop().now();
      if ((*chunk)->trailers) {
        for (const auto& field : *(*chunk)->trailers) {
          info.response_trailers.emplace_back(field.name, field.value);
          if (field.name == "grpc-status") info.grpc_status = std::string(field.value);
        }
        if (!passes_trailers(stream_)) (*chunk)->trailers.reset();
      }
    }
    return chunk;
  }

 private:
  HttpState& stream_;
  http::Body inner_;
  MessageCounter messages_;
};

}  // namespace

http::Body count_request(HttpState& stream, http::Body body) {
  const auto length = body.length();
  return http::Body(std::make_unique<CountedRequest>(stream, std::move(body)), length);
}

http::Body count_response(HttpState& stream, http::Body body) {
  const auto length = body.length();
  return http::Body(std::make_unique<CountedResponse>(stream, std::move(body)), length);
}

struct ReplayBody::State {
  http::Body source;
  std::optional<std::uint64_t> length;
  std::size_t most_bytes;
  std::deque<Buffer> kept;
  std::size_t kept_bytes = 0;
  bool is_overflown = false;
  bool is_complete = false;
  std::optional<http::Headers> trailers;
};

class ReplayBody::Reader final : public http::BodySource {
 public:
  explicit Reader(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::optional<Result<http::Chunk>> poll(http::Waker waker) override {
    State& state = *state_;
    if (next_ < state.kept.size()) {
      http::Chunk chunk;
      chunk.data = state.kept[next_++].clone();
      if (state.is_complete && next_ == state.kept.size()) {
        chunk.is_last = true;
        chunk.trailers = state.trailers;
      }
      return chunk;
    }
    auto chunk = state.source.poll(waker);
    if (!chunk || !chunk->ok()) return chunk;
    state.kept_bytes += (*chunk)->data.size();
    if (state.kept_bytes > state.most_bytes) {
      state.is_overflown = true;
      state.kept.clear();
      next_ = 0;
    }
    if (!state.is_overflown) {
      state.kept.push_back((*chunk)->data.clone());
      ++next_;
    }
    if ((*chunk)->is_last) {
      state.is_complete = true;
      state.trailers = (*chunk)->trailers;
    }
    return chunk;
  }

 private:
  std::shared_ptr<State> state_;
  std::size_t next_ = 0;
};

ReplayBody::ReplayBody(http::Body body, std::size_t most_bytes)
    : state_(std::make_shared<State>()) {
  state_->length = body.length();
  state_->source = std::move(body);
  state_->most_bytes = most_bytes;
}

ReplayBody::~ReplayBody() = default;

bool ReplayBody::is_replayable() const { return !state_->is_overflown; }

http::Body ReplayBody::open() {
  if (state_->source.empty() && !state_->is_complete) return {};
  return http::Body(std::make_unique<Reader>(state_), state_->length);
}

}  // namespace lateen::proxy
