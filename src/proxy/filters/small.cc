// Filters whose work is a few lines: router construction, pass-through, ALPN choice, buffering,
// health checks.

#include "base/strings.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/extensions/filters/http/buffer/v3/buffer.pb.h"
#include "envoy/extensions/filters/http/health_check/v3/health_check.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/http/set_filter_state/v3/set_filter_state.pb.h"
#include "istio/alpn.pb.h"
#include "proxy/filters/filters.h"
#include "proxy/filters/side_call.h"
#include "proxy/http/router.h"
#include "xds/any.h"
#include "xds/convert.h"

namespace lateen::proxy {
namespace {

// For filters that only emit statistics which others make here (grpc_stats), or that do nothing
// without route settings.
class PassThrough final : public HttpFilter {
 public:
  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override {
    next(stream, std::move(request), std::move(done));
  }
};

// istio.alpn: which protocols to offer a TLS upstream, by the protocol that the request will use
// there.
class Alpn final : public HttpFilter {
 public:
  std::vector<std::string> by_protocol[3];

  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override {
    const UpstreamRef upstream = stream.info.worker.find_cluster(stream.info.cluster_choice);
    if (upstream != nullptr) {
      using Http = ClusterConfig::Http;
      const Http http = upstream->config().http;
      const bool is_h2 = http == Http::kHttp2 ||
                         (http == Http::kDownstream && request.version == http::Version::kHttp2);
      const bool is_h10 = http == Http::kDownstream && request.version == http::Version::kHttp10;
      stream.info.alpn_override = by_protocol[is_h2 ? 2 : is_h10 ? 0 : 1];
    }
    next(stream, std::move(request), std::move(done));
  }
};

struct BufferRoute final : RouteFilterConfig {
  bool is_disabled = false;
  std::size_t most_bytes = 0;
};

class BufferWhole final : public HttpFilter {
 public:
  BufferWhole(std::string name, std::size_t most_bytes)
      : name_(std::move(name)), most_bytes_(most_bytes) {}
  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override {
    const auto* entry = route_config_for(stream.info, name_);
    const auto* route =
        entry == nullptr ? nullptr : dynamic_cast<const BufferRoute*>(entry->config.get());
    const bool is_off = request.body.empty() || !request.upgrade.empty() ||
                        request.method == "CONNECT" || (route != nullptr && route->is_disabled);
    if (is_off) return next(stream, std::move(request), std::move(done));
    const std::size_t most = route != nullptr ? route->most_bytes : most_bytes_;
    auto held = std::make_shared<http::Request>(std::move(request));
    http::Body body = std::move(held->body);
    collect_body(
        stream.exchange.scope, stream.exchange.loop, std::move(body), most,
        [&stream, held, next, done = std::move(done)](Result<WholeBody> whole) mutable {
          if (!whole.ok())
            return done(local_reply(stream, 413, "Payload Too Large", "request_payload_too_large"));
          if (!whole->trailers)
            held->headers.set("content-length", std::to_string(whole->data.size()));
          held->body = body_of(*std::move(whole));
          next(stream, std::move(*held), std::move(done));
        });
  }

 private:
  std::string name_;
  std::size_t most_bytes_;
};

class HealthCheckFilter final : public HttpFilter {
 public:
  std::vector<HeaderMatcher> headers;
  bool is_passed_through = false;
  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override {
    if (!all_match(headers, request)) return next(stream, std::move(request), std::move(done));
    if (stream.info.worker.shared().is_health_check_failed.load(std::memory_order_relaxed))
      return done(
          local_reply(stream, 503, "", "health_check_failed", Flag::kFailedLocalHealthCheck));
    if (is_passed_through) return next(stream, std::move(request), std::move(done));
    done(local_reply(stream, 200, "", "health_check_ok"));
  }
};

class SetFilterState final : public HttpFilter {
 public:
  std::vector<std::pair<std::string, Formatter>> values;
  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override {
    for (const auto& [key, format] : values) {
      std::string value = format.format(stream.info);
      if (!value.empty()) stream.info.state[key] = std::move(value);
    }
    next(stream, std::move(request), std::move(done));
  }
};

}  // namespace

Result<HttpFilterRef> make_router(const google::protobuf::Any& config, const CompileContext&) {
  const auto from = TRY(xds::unpack<envoy::extensions::filters::http::router::v3::Router>(config));
  Router::Options options;
  options.is_envoy_header_suppressed = from.suppress_envoy_headers();
  options.is_child_span_started = from.start_child_span();
  return HttpFilterRef(std::make_shared<const Router>(options));
}

Result<HttpFilterRef> make_pass_through(const google::protobuf::Any&, const CompileContext&) {
  return HttpFilterRef(std::make_shared<const PassThrough>());
}

Result<HttpFilterRef> make_alpn(const google::protobuf::Any& config, const CompileContext&) {
  const auto from =
      TRY(xds::unpack<istio::envoy::config::filter::http::alpn::v2alpha1::FilterConfig>(config));
  auto made = std::make_shared<Alpn>();
  for (const auto& one : from.alpn_override()) {
    if (one.upstream_protocol() < 0 || one.upstream_protocol() > 2) continue;
    made->by_protocol[one.upstream_protocol()].assign(one.alpn_override().begin(),
                                                      one.alpn_override().end());
  }
  return HttpFilterRef(std::move(made));
}

Result<HttpFilterRef> make_buffer(const google::protobuf::Any& config,
                                  const CompileContext& context) {
  const auto from = TRY(xds::unpack<envoy::extensions::filters::http::buffer::v3::Buffer>(config));
  return HttpFilterRef(
      std::make_shared<const BufferWhole>(context.filter_name, from.max_request_bytes().value()));
}

Result<RouteConfigRef> make_buffer_route(const google::protobuf::Any& config,
                                         const CompileContext&) {
  const auto from =
      TRY(xds::unpack<envoy::extensions::filters::http::buffer::v3::BufferPerRoute>(config));
  auto made = std::make_shared<BufferRoute>();
  made->is_disabled = from.disabled();
  made->most_bytes = from.buffer().max_request_bytes().value();
  return RouteConfigRef(std::move(made));
}

Result<HttpFilterRef> make_health_check(const google::protobuf::Any& config,
                                        const CompileContext&) {
  const auto from =
      TRY(xds::unpack<envoy::extensions::filters::http::health_check::v3::HealthCheck>(config));
  auto made = std::make_shared<HealthCheckFilter>();
  made->is_passed_through = from.pass_through_mode().value();
  for (const auto& header : from.headers())
    made->headers.push_back(TRY(HeaderMatcher::compile(header)));
  return HttpFilterRef(std::move(made));
}

Result<HttpFilterRef> make_set_filter_state(const google::protobuf::Any& config,
                                            const CompileContext&) {
  const auto from =
      TRY(xds::unpack<envoy::extensions::filters::http::set_filter_state::v3::Config>(config));
  auto made = std::make_shared<SetFilterState>();
  for (const auto& value : from.on_request_headers()) {
    const auto text = TRY(xds::read_data(value.format_string().text_format_source()));
    made->values.emplace_back(value.object_key(), TRY(Formatter::compile(text, true)));
  }
  return HttpFilterRef(std::move(made));
}

}  // namespace lateen::proxy
