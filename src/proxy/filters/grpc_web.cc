// envoy.filters.http.grpc_web: browsers' gRPC (application/grpc-web, -text) to gRPC over HTTP/2 and
// back. The trailers travel as a last frame of the body; text bodies are base64.

#include "base/strings.h"
#include "envoy/extensions/filters/http/grpc_web/v3/grpc_web.pb.h"
#include "grpc/framing.h"
#include "proxy/filters/filters.h"
#include "proxy/filters/side_call.h"

namespace lateen::proxy {
namespace {

constexpr std::size_t kMostMessage = 8 * 1024;

// Decodes base64 that may be cut anywhere and padded in the middle.
class TextRequest final : public http::BodySource {
 public:
  explicit TextRequest(http::Body inner) : inner_(std::move(inner)) {}
  std::optional<Result<http::Chunk>> poll(http::Waker waker) override {
    for (;;) {
      auto chunk = inner_.poll(waker);
      if (!chunk || !chunk->ok()) return chunk;
      text_.append(std::move((*chunk)->data));
      const std::size_t whole = text_.size() / 4 * 4;
      if ((*chunk)->is_last && whole != text_.size())
        return Result<http::Chunk>(
            invalid("grpc-web: the body is no base64 text", Blame::kDownstream));
      std::string bytes;
      const Buffer run = text_.take(whole);
      const std::string text = run.to_string();
      for (std::size_t at = 0; at < text.size();) {
        // Up to and with the next padded group.
        auto end = text.find('=', at);
        end = end == std::string::npos ? text.size() : std::min(text.size(), end / 4 * 4 + 4);
        auto part = base64_decode(std::string_view(text).substr(at, end - at));
        if (!part.ok()) return Result<http::Chunk>(std::move(part).error());
        bytes += *part;
        at = end;
      }
      if (bytes.empty() && !(*chunk)->is_last) continue;
      (*chunk)->data.adopt(std::move(bytes));
      return chunk;
    }
  }

 private:
  http::Body inner_;
  Buffer text_;
};

std::string trailer_frame(const http::Headers& trailers) {
  std::string text;
  for (const auto& field : trailers)
    text += to_lower(field.name) + ":" + std::string(field.value) + "\r\n";
  std::string frame(1, static_cast<char>(0x80));
  for (int shift = 24; shift >= 0; shift -= 8)
    frame += static_cast<char>(text.size() >> shift & 0xff);
  return frame + text;
}

class WebResponse final : public http::BodySource {
 public:
  WebResponse(http::Body inner, bool is_text) : inner_(std::move(inner)), is_text_(is_text) {}
  std::optional<Result<http::Chunk>> poll(http::Waker waker) override {
    for (;;) {
      auto chunk = inner_.poll(waker);
      if (!chunk || !chunk->ok()) return chunk;
      Buffer& data = (*chunk)->data;
      if ((*chunk)->trailers) {
        data.adopt(trailer_frame(*(*chunk)->trailers));
        (*chunk)->trailers.reset();
      }
      if (is_text_) {
        waiting_.append(std::move(data));
        const std::size_t ready = (*chunk)->is_last ? waiting_.size() : waiting_.size() / 3 * 3;
        data = Buffer();
        data.adopt(base64_encode(waiting_.take(ready).to_string()));
        if (data.empty() && !(*chunk)->is_last) continue;
      }
      return chunk;
    }
  }

 private:
  http::Body inner_;
  bool is_text_;
  Buffer waiting_;
};

class GrpcWeb final : public HttpFilter {
 public:
  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override {
    const std::string_view type = request.headers.get("content-type").value_or("");
    const bool is_text =
        type == "application/grpc-web-text" || type == "application/grpc-web-text+proto";
    if (!is_text && type != "application/grpc-web" && type != "application/grpc-web+proto")
      return next(stream, std::move(request), std::move(done));
    stream.info.is_grpc = true;
    const std::string_view accept = request.headers.get("accept").value_or("");
    const bool is_text_wanted =
        accept == "application/grpc-web-text" || accept == "application/grpc-web-text+proto";
    request.headers.remove("content-length");
    request.headers.set("content-type", "application/grpc");
    request.headers.set("te", "trailers");
    request.headers.set("grpc-accept-encoding", "identity");
    if (is_text && !request.body.empty())
      request.body = http::Body(std::make_unique<TextRequest>(std::move(request.body)));
    next(
        stream, std::move(request),
        [&stream, is_text_wanted, done = std::move(done)](Result<http::Response> response) mutable {
          if (!response.ok()) return done(std::move(response));
          const std::string_view got = response->headers.get("content-type").value_or("");
          const bool is_grpc =
              got.starts_with("application/grpc") || response->headers.has("grpc-status");
          response->headers.set("content-type", is_text_wanted ? "application/grpc-web-text+proto"
                                                               : "application/grpc-web+proto");
          if (!is_grpc) return explain(stream, *std::move(response), std::move(done));
          if (!response->body.empty()) {
            response->headers.remove("content-length");
            response->body = http::Body(
                std::make_unique<WebResponse>(std::move(response->body), is_text_wanted));
          }
          done(std::move(response));
        });
  }

 private:
  // What is no gRPC answer becomes a status whose message is its text.
  static void explain(HttpState& stream, http::Response response, http::Done done) {
    auto held = std::make_shared<http::Response>(std::move(response));
    collect_body(stream.exchange.scope, stream.exchange.loop, std::move(held->body), kMostMessage,
                 [held, done = std::move(done)](Result<WholeBody> whole) {
                   const auto code = grpc::code_of_http_status(held->status);
                   held->status = 200;
                   held->body = {};
                   held->headers.set("content-length", "0");
                   held->headers.set("grpc-status", std::to_string(static_cast<int>(code)));
                   if (whole.ok() && !whole->data.empty())
                     held->headers.set("grpc-message",
                                       grpc::encode_message(whole->data.to_string()));
                   done(std::move(*held));
                 });
  }
};

}  // namespace

Result<HttpFilterRef> make_grpc_web(const google::protobuf::Any&, const CompileContext&) {
  return HttpFilterRef(std::make_shared<const GrpcWeb>());
}

}  // namespace lateen::proxy
