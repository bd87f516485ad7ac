// Zipkin takes JSON over HTTP (v2), OpenTelemetry protobuf over HTTP or gRPC.

#include "proxy/trace/reporter.h"

#include "base/log.h"
#include "grpc/client.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"

namespace lateen::proxy {

namespace {
constexpr milliseconds kSendLimit{5000};

std::string from_hex(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    bytes += static_cast<char>(std::strtol(std::string(text.substr(i, 2)).c_str(), nullptr, 16));
  return bytes;
}
}  // namespace

// One request on its way.
class TraceReporter::Call {
 public:
  Call(event::Loop& loop, UpstreamRef upstream)
      : upstream_(std::move(upstream)), exchange_(loop, info_), limit_(loop, [this] {
          is_done_ = true;
          scope_.cancel_all();
        }) {}

  void start(const HostRef& host, const PoolKey& key, const TraceConfig& config, std::string body,
             std::string_view type) {
    http::Request request(exchange_.arena);
    request.method = "POST";
    request.scheme = "http";
    request.authority = exchange_.arena.copy(config.hostname);
    request.path = exchange_.arena.copy(config.endpoint);
    request.headers.add("content-type", type);
    request.body = http::Body::of(std::move(body));
    limit_.arm(kSendLimit);
    upstream_->pool(host, key).call(
        scope_, exchange_, std::move(request), [this](http::CallResult result) {
          if (!result.response) {
            is_done_ = true;
            return;
          }
          http::read_all(scope_, exchange_.loop, std::move(result.response->body), 1 << 20,
                         [this](Result<Buffer>) { is_done_ = true; });
        });
  }
  void start_grpc(const HostRef& host, const PoolKey& key, const TraceConfig& config,
                  std::string body) {
    grpc::unary(scope_, exchange_.loop, upstream_->pool(host, key), config.hostname,
                config.grpc_service, {}, std::move(body), kSendLimit,
                [this](Result<std::string>) { is_done_ = true; });
  }
  bool is_done() const { return is_done_; }

 private:
  UpstreamRef upstream_;
  http::ConnectionInfo info_;
  http::Exchange exchange_;
  bool is_done_ = false;
  event::Timer limit_;
  event::Scope scope_;
};

TraceReporter::TraceReporter(Worker& main) : main_(main) {}
TraceReporter::~TraceReporter() = default;

void TraceReporter::add(const std::shared_ptr<const TraceConfig>& config, FinishedSpan span) {
  Batch& batch = batches_[config->cluster + "|" + config->endpoint + "|" + config->grpc_service];
  batch.config = config;
  if (batch.spans.size() >= kMostWaiting) {
    ++dropped_;
    return;
  }
  batch.spans.push_back(std::move(span));
}

void TraceReporter::flush() {
  std::erase_if(calls_, [](const auto& call) { return call->is_done(); });
  for (auto& [key, batch] : batches_)
    while (!batch.spans.empty() && calls_.size() < kMostCalls) send(batch);
}

void TraceReporter::send(Batch& batch) {
  const std::size_t count = std::min(batch.spans.size(), kMostAtOnce);
  std::vector<FinishedSpan> spans(
      std::make_move_iterator(batch.spans.begin()),
      std::make_move_iterator(batch.spans.begin() + static_cast<std::ptrdiff_t>(count)));
  batch.spans.erase(batch.spans.begin(), batch.spans.begin() + static_cast<std::ptrdiff_t>(count));
  const TraceConfig& config = *batch.config;
  UpstreamRef upstream = main_.find_cluster(config.cluster);
  const HostRef host = upstream == nullptr ? nullptr : upstream->pick({});
  if (host == nullptr) {
    dropped_ += count;
    LOG(kDebug, "trace", "{} spans dropped: no host in cluster '{}'", count, config.cluster);
    return;
  }
  PoolKey key;
  key.address = host->address;
  key.transport_socket = host->transport_socket;
  const bool is_grpc = !config.grpc_service.empty();
  if (is_grpc || upstream->config().http == ClusterConfig::Http::kHttp2)
    key.protocol = http::ClientOptions::Protocol::kHttp2;
  auto call = std::make_unique<Call>(main_.loop(), upstream);
  if (config.provider == TraceConfig::Provider::kZipkin)
    call->start(host, key, config, zipkin_json(spans), "application/json");
  else if (is_grpc) call->start_grpc(host, key, config, otlp_request(spans));
  else call->start(host, key, config, otlp_request(spans), "application/x-protobuf");
  calls_.push_back(std::move(call));
}

std::string zipkin_json(const std::vector<FinishedSpan>& spans) {
  data::JsonArray all;
  for (const auto& span : spans) {
    data::JsonObject one;
    one["traceId"] = span.trace_id;
    one["id"] = span.id;
    if (!span.parent_id.empty()) one["parentId"] = span.parent_id;
    one["name"] = span.name;
    one["kind"] = span.kind == FinishedSpan::Kind::kServer ? "SERVER" : "CLIENT";
    one["timestamp"] =
        std::chrono::duration_cast<microseconds>(span.start.time_since_epoch()).count();
    one["duration"] =
        std::max<std::int64_t>(1, std::chrono::duration_cast<microseconds>(span.duration).count());
    data::JsonObject local;
    local["serviceName"] = span.service;
    if (!span.local.is_unix()) {
      local[span.local.ip().is_v4() ? "ipv4" : "ipv6"] = span.local.ip().to_string();
      local["port"] = span.local.port();
    }
    one["localEndpoint"] = std::move(local);
    data::JsonObject tags;
    for (const auto& [name, value] : span.tags) tags[name] = value;
    one["tags"] = std::move(tags);
    if (span.is_shared) one["shared"] = true;
    all.push_back(std::move(one));
  }
  return data::dump_json(all);
}

std::string otlp_request(const std::vector<FinishedSpan>& spans) {
  namespace trace = opentelemetry::proto::trace::v1;
  opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest request;
  // The pinned API still calls ScopeSpans by its first name; the fields' numbers are the same.
  std::map<std::string, trace::InstrumentationLibrarySpans*> by_service;
  for (const auto& span : spans) {
    auto& scope = by_service[span.service];
    if (scope == nullptr) {
      auto* resource = request.add_resource_spans();
      auto* name = resource->mutable_resource()->add_attributes();
      name->set_key("service.name");
      name->mutable_value()->set_string_value(span.service);
      scope = resource->add_instrumentation_library_spans();
    }
    auto& out = *scope->add_spans();
    out.set_trace_id(from_hex(span.trace_id.size() == 32 ? span.trace_id
                                                         : std::string(16, '0') + span.trace_id));
    out.set_span_id(from_hex(span.id));
    out.set_parent_span_id(from_hex(span.parent_id));
    out.set_name(span.name);
    out.set_kind(span.kind == FinishedSpan::Kind::kServer ? trace::Span::SPAN_KIND_SERVER
                                                          : trace::Span::SPAN_KIND_CLIENT);
    const auto start = static_cast<std::uint64_t>(span.start.time_since_epoch().count());
    out.set_start_time_unix_nano(start);
    out.set_end_time_unix_nano(start + static_cast<std::uint64_t>(span.duration.count()));
    for (const auto& [name, value] : span.tags) {
      auto* attribute = out.add_attributes();
      attribute->set_key(name);
      attribute->mutable_value()->set_string_value(value);
    }
    if (span.is_error) out.mutable_status()->set_code(trace::Status::STATUS_CODE_ERROR);
  }
  return request.SerializeAsString();
}

}  // namespace lateen::proxy
