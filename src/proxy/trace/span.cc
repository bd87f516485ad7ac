// One span per stream, as Envoy does it: the server side joins the caller's span id when the tracer
// shares spans, the client side of a sidecar makes a child. Tags are Envoy's.

#include "proxy/trace/span.h"

#include "base/strings.h"
#include "proxy/cluster/cluster.h"
#include "proxy/http/config.h"
#include "proxy/worker/worker.h"

namespace lateen::proxy {
namespace {

std::string hex64(std::uint64_t value) {
  std::string text(16, '0');
  for (std::size_t i = 16; i-- > 0; value >>= 4) text[i] = "0123456789abcdef"[value & 15];
  return text;
}

bool is_hex(std::string_view text) {
  for (const char c : text)
    if ((c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F')) return false;
  return !text.empty();
}

struct Incoming {
  std::string trace_id, span_id, parent_id;
  std::optional<bool> is_sampled;
};

// B3 multi, B3 single, then W3C.
Incoming read_context(const http::Request& request) {
  Incoming made;
  const auto get = [&](std::string_view name) {
    return std::string(request.headers.get(name).value_or(""));
  };
  made.trace_id = get("x-b3-traceid");
  if (!made.trace_id.empty()) {
    made.span_id = get("x-b3-spanid");
    made.parent_id = get("x-b3-parentspanid");
    if (const auto flag = request.headers.get("x-b3-sampled"))
      made.is_sampled = *flag == "1" || *flag == "true";
    if (get("x-b3-flags") == "1") made.is_sampled = true;
  } else if (const std::string single = get("b3"); !single.empty()) {
    const auto parts = split(single, '-');
    if (parts.size() == 1) {
      made.is_sampled = parts[0] == "1" || parts[0] == "d";
    } else {
      made.trace_id = parts[0];
      made.span_id = parts[1];
      if (parts.size() > 2) made.is_sampled = parts[2] == "1" || parts[2] == "d";
      if (parts.size() > 3) made.parent_id = parts[3];
    }
  } else if (const std::string w3c = get("traceparent"); w3c.size() >= 55) {
    const auto parts = split(w3c, '-');
    if (parts.size() >= 4 && parts[1].size() == 32 && parts[2].size() == 16) {
      made.trace_id = parts[1];
      made.span_id = parts[2];
      made.is_sampled = !parts[3].empty() && (parts[3].back() - '0') % 2 == 1;
    }
  } else if (const auto flag = request.headers.get("x-b3-sampled")) {
    made.is_sampled = *flag == "1" || *flag == "true";
  }
  const bool is_good = (made.trace_id.size() == 16 || made.trace_id.size() == 32) &&
                       is_hex(made.trace_id) && made.span_id.size() == 16 && is_hex(made.span_id);
  if (!is_good) made.trace_id.clear();
  return made;
}

}  // namespace

SpanRecorder::SpanRecorder(std::shared_ptr<const HttpConfig> config, const TraceConfig& trace)
    : config_(std::move(config)), trace_(trace) {}

std::unique_ptr<SpanRecorder> start_span(StreamInfo& info, const http::Request& request,
                                         const TraceConfig& trace,
                                         const std::shared_ptr<const HttpConfig>& config) {
  if (trace.provider == TraceConfig::Provider::kNone) return nullptr;
  Random& random = info.worker.loop().random();
  auto made = std::make_unique<SpanRecorder>(config, trace);
  const Incoming in = read_context(request);
  if (in.is_sampled) {
    made->is_sampled_ = *in.is_sampled;
  } else if (request.headers.has("x-client-trace-id") &&
             random.below(1'000'000) < trace.client_millionths) {
    made->is_sampled_ = true;
  } else {
    std::uint32_t chance = trace.random_millionths;
    if (info.route != nullptr && info.route->trace_sampling) chance = *info.route->trace_sampling;
    made->is_sampled_ =
        random.below(1'000'000) < chance && random.below(1'000'000) < trace.overall_millionths;
  }
  if (in.trace_id.empty()) {
    made->span_id_ = hex64(random.next());
    made->trace_id_ = trace.is_128_bit ? hex64(random.next()) + made->span_id_ : made->span_id_;
  } else {
    made->trace_id_ = in.trace_id;
    // A sidecar's inbound side takes part in the caller's client span; its outbound side makes a
    // child.
    if (!trace.is_egress && trace.is_shared_span) {
      made->span_id_ = in.span_id;
      made->parent_id_ = in.parent_id;
      made->is_shared_ = true;
    } else {
      made->span_id_ = hex64(random.next());
      made->parent_id_ = in.span_id;
    }
  }
  info.span_operation =
      std::string(request.headers.get("x-envoy-decorator-operation").value_or(""));
  if (info.span_operation.empty() && info.route != nullptr)
    info.span_operation = info.route->operation;
  if (info.span_operation.empty()) info.span_operation = std::string(request.authority);
  return made;
}

void SpanRecorder::inject(http::Request& request) const {
  request.headers.set("x-b3-traceid", trace_id_);
  request.headers.set("x-b3-spanid", span_id_);
  if (!parent_id_.empty()) request.headers.set("x-b3-parentspanid", parent_id_);
  else request.headers.remove("x-b3-parentspanid");
  request.headers.set("x-b3-sampled", is_sampled_ ? "1" : "0");
  request.headers.remove("b3");
  if (!trace_.is_w3c_sent) return;
  const std::string wide = trace_id_.size() == 32 ? trace_id_ : std::string(16, '0') + trace_id_;
  request.headers.set("traceparent", "00-" + wide + "-" + span_id_ + (is_sampled_ ? "-01" : "-00"));
}

void SpanRecorder::finish(const StreamInfo& info) {
  if (!is_sampled_) return;
  Shared& shared = info.worker.shared();
  if (!shared.report_span) return;
  FinishedSpan span;
  span.trace_id = trace_id_;
  span.id = span_id_;
  span.parent_id = parent_id_;
  span.is_shared = is_shared_;
  span.kind = trace_.is_egress ? FinishedSpan::Kind::kClient : FinishedSpan::Kind::kServer;
  span.name = info.span_operation;
  span.start = info.started_wall;
  span.duration = info.finished ? *info.finished - info.started : nanoseconds(0);
  span.service = trace_.service_name.empty() ? shared.node_cluster : trace_.service_name;
  span.local = info.connection.local;
  const auto tag = [&](std::string name, std::string value) {
    if (!value.empty()) span.tags.emplace_back(std::move(name), std::move(value));
  };
  const auto header = [&](std::string_view name) {
    return std::string(info.request ? header_of(*info.request, name).value_or("") : "");
  };
  tag("guid:x-request-id", std::string(info.request_id));
  std::string path = header("x-envoy-original-path");
  if (path.empty() && info.request) path = info.request->path;
  if (path.size() > trace_.max_path_length) path.resize(trace_.max_path_length);
  const std::string scheme = info.request && info.request->scheme == "https" ? "https" : "http";
  tag("http.url", scheme + "://" + header(":authority") + path);
  tag("http.method", header(":method"));
  tag("downstream_cluster", "-");
  tag("user_agent", header("user-agent").empty() ? "-" : header("user-agent"));
  tag("http.protocol", info.request ? std::string(http::to_string(info.request->version)) : "");
  tag("peer.address", info.remote && !info.remote->is_unix() ? info.remote->ip().to_string() : "");
  tag("request_size", std::to_string(info.bytes_received));
  tag("node_id", shared.identity.node_id);
  tag("component", "proxy");
  if (!info.upstream.cluster_name.empty()) {
    tag("upstream_cluster", info.upstream.cluster_name);
    const auto& alias =
        info.upstream.cluster == nullptr ? std::string() : info.upstream.cluster->alt_stat_name;
    tag("upstream_cluster.name", alias.empty() ? info.upstream.cluster_name : alias);
  }
  if (info.upstream.host != nullptr) tag("upstream_address", info.upstream.address.to_string());
  tag("http.status_code", std::to_string(info.status));
  tag("response_size", std::to_string(info.bytes_sent));
  tag("response_flags", info.flags.to_string());
  if (info.grpc_status) tag("grpc.status_code", *info.grpc_status);
  for (const auto& custom : trace_.tags) {
    std::string value = custom.value;
    if (custom.kind == CustomTag::Kind::kHeader) value = header(custom.value);
    if (custom.kind == CustomTag::Kind::kFormatter) value = custom.format->format(info);
    if (value.empty()) value = custom.fallback;
    tag(custom.name, std::move(value));
  }
  span.is_error = info.status >= 500 || info.status == 0 || !info.finished;
  if (span.is_error) tag("error", "true");
  shared.report_span(std::shared_ptr<const TraceConfig>(config_, &trace_), std::move(span));
}

}  // namespace lateen::proxy
