// envoy.filters.http.grpc_http1_bridge: clients that know HTTP/1.1 only may call unary gRPC
// methods: the answer's trailers become headers, and a failed call an HTTP error.

#include "base/strings.h"
#include "envoy/extensions/filters/http/grpc_http1_bridge/v3/config.pb.h"
#include "proxy/filters/filters.h"
#include "proxy/filters/side_call.h"
#include "xds/any.h"

namespace lateen::proxy {
namespace {

constexpr std::size_t kMostBytes = 1u << 20;
constexpr std::size_t kPrefixBytes = 5;

class GrpcBridge final : public HttpFilter {
 public:
  bool is_protobuf_upgraded = false, is_query_ignored = false;

  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override {
    const std::string_view type = request.headers.get("content-type").value_or("");
    const bool is_protobuf = is_protobuf_upgraded &&
                             (type == "application/x-protobuf" || type == "application/protobuf");
    if (is_query_ignored && (is_protobuf || stream.info.is_grpc))
      request.path = request.path.substr(0, request.path.find('?'));
    const bool is_bridged =
        request.version != http::Version::kHttp2 && (stream.info.is_grpc || is_protobuf);
    if (!is_bridged) return next(stream, std::move(request), std::move(done));
    if (!is_protobuf) return go(stream, std::move(request), false, next, std::move(done));
    stream.info.is_grpc = true;
    request.headers.set("content-type", "application/grpc");
    request.headers.remove("content-length");
    auto held = std::make_shared<http::Request>(std::move(request));
    http::Body body = std::move(held->body);
    http::read_all(
        stream.exchange.scope, stream.exchange.loop, std::move(body), kMostBytes,
        [&stream, held, next, done = std::move(done)](Result<Buffer> whole) mutable {
          if (!whole.ok())
            return done(local_reply(stream, 413, "Payload Too Large", "request_payload_too_large"));
          std::string frame(1, '\0');
          for (int shift = 24; shift >= 0; shift -= 8)
            frame += static_cast<char>(whole->size() >> shift & 0xff);
          Buffer all(frame);
          all.append(*std::move(whole));
          held->body = http::Body::of(std::move(all));
          go(stream, std::move(*held), true, next, std::move(done));
        });
  }

 private:
  static void go(HttpState& stream, http::Request request, bool is_unwrapped, Next next,
                 http::Done done) {
    next(stream, std::move(request),
         [&stream, is_unwrapped, done = std::move(done)](Result<http::Response> response) mutable {
           if (!response.ok()) return done(std::move(response));
           auto held = std::make_shared<http::Response>(*std::move(response));
           http::Body body = std::move(held->body);
           if (body.empty()) {
             set_status(*held, held->headers);
             return done(std::move(*held));
           }
           collect_body(stream.exchange.scope, stream.exchange.loop, std::move(body), kMostBytes,
                        [&stream, held, is_unwrapped,
                         done = std::move(done)](Result<WholeBody> whole) mutable {
                          if (!whole.ok())
                            return done(local_reply(stream, 502, whole.error().message(),
                                                    "grpc_bridge_body"));
                          finish(*held, *std::move(whole), is_unwrapped);
                          done(std::move(*held));
                        });
         });
  }

  static void set_status(http::Response& response, const http::Headers& from) {
    const auto status = from.get("grpc-status");
    if (!status || *status != "0") response.status = 503;
    if (status) response.headers.set("grpc-status", *status);
    if (const auto message = from.get("grpc-message"))
      response.headers.set("grpc-message", *message);
  }
  static void finish(http::Response& response, WholeBody whole, bool is_unwrapped) {
    if (whole.trailers) set_status(response, *whole.trailers);
    if (is_unwrapped) {
      response.headers.set("content-type", "application/x-protobuf");
      if (whole.data.size() >= kPrefixBytes) whole.data.drop(kPrefixBytes);
    }
    response.headers.set("content-length", std::to_string(whole.data.size()));
    response.body = http::Body::of(std::move(whole.data));
  }
};

}  // namespace

Result<HttpFilterRef> make_grpc_bridge(const google::protobuf::Any& config, const CompileContext&) {
  const auto from =
      TRY(xds::unpack<envoy::extensions::filters::http::grpc_http1_bridge::v3::Config>(config));
  auto made = std::make_shared<GrpcBridge>();
  made->is_protobuf_upgraded = from.upgrade_protobuf_to_grpc();
  made->is_query_ignored = from.ignore_query_parameters();
  return HttpFilterRef(std::move(made));
}

}  // namespace lateen::proxy
