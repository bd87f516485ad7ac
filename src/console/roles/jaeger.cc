// Intake and query handlers of the tracing role.
#include "console/roles/jaeger.h"

#include <fmt/core.h>

#include "base/log.h"
#include "base/strings.h"
#include "console/server/assets.h"
#include "console/server/grpc_unary.h"
#include "console/traces/jaeger_in.h"
#include "console/traces/jaeger_json.h"
#include "console/traces/otlp.h"
#include "metrics/process.h"

namespace lateen::console {
namespace {

constexpr std::int64_t kDayUs = 24ll * 3600 * 1'000'000;
constexpr int kDefaultLimit = 20;

ApiReply jaeger_failure(const Error& error, int status) {
  return ApiReply::json(jaeger_error(status, error.message()), status);
}

Result<std::int64_t> duration_us(const ApiRequest& request, std::string_view name) {
  const std::string text = request.get_or(name, "");
  if (text.empty()) return 0;
  const auto duration = TRY(parse_duration(text).at(std::string(name)));
  return std::chrono::duration_cast<microseconds>(duration).count();
}

// Jaeger has the tags as one JSON object, and as tag=key:value before.
Result<std::vector<std::pair<std::string, std::string>>> tags_of(const ApiRequest& request) {
  std::vector<std::pair<std::string, std::string>> tags;
  if (const auto json = request.get("tags"); json && !json->empty()) {
    const data::Json root = TRY(data::parse_json(*json).at("tags"));
    const auto* object = root.if_object();
    if (object == nullptr) return invalid("tags is not a JSON object");
    for (const auto& [key, value] : *object) {
      const auto* text = value.if_string();
      tags.emplace_back(
          key, text != nullptr ? std::string(std::string_view(*text)) : data::dump_json(value));
    }
  }
  for (const std::string& pair : request.all("tag")) {
    const auto parts = split_once(pair, ":");
    if (!parts) return invalid(fmt::format("tag '{}' is not key:value", pair));
    tags.emplace_back(parts->first, parts->second);
  }
  return tags;
}

Result<TraceQuery> read_query(const ApiRequest& request) {
  TraceQuery query;
  query.service = request.get_or("service", "");
  query.operation = request.get_or("operation", "");
  if (query.operation == "all") query.operation.clear();
  query.tags = TRY(tags_of(request));
  query.start_us = request.number_or("start", 0);
  query.end_us = request.number_or("end", 0);
  query.min_duration_us = TRY(duration_us(request, "minDuration"));
  query.max_duration_us = TRY(duration_us(request, "maxDuration"));
  query.limit = static_cast<int>(request.number_or("limit", kDefaultLimit));
  return query;
}

// Zipkin's annotationQuery: "error and http.method=GET".
std::vector<std::pair<std::string, std::string>> annotation_query(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> tags;
  const std::string marked = replace_all(text, " and ", "\n");
  for (const std::string_view part : split(marked, '\n')) {
    const auto clean = trim(part);
    if (clean.empty()) continue;
    const auto pair = split_once(clean, "=");
    tags.emplace_back(pair ? pair->first : clean, pair ? pair->second : "true");
  }
  return tags;
}

data::JsonArray zipkin_spans(const std::vector<Span>& spans) {
  data::JsonArray list;
  for (const Span& span : spans) list.push_back(to_zipkin_v2(span));
  return list;
}

data::JsonArray strings(const std::vector<std::string>& from) {
  data::JsonArray list;
  for (const std::string& one : from) list.emplace_back(one);
  return list;
}

}  // namespace

std::int64_t JaegerRole::now_us() const {
  return std::chrono::duration_cast<microseconds>(clock_.wall().time_since_epoch()).count();
}

ApiReply JaegerRole::query(const ApiRequest& request) {
  std::string_view path = request.path;
  std::string root;
  if (path == "/jaeger" || path.starts_with("/jaeger/")) {
    root = "/jaeger";
    path.remove_prefix(root.size());
  }
  if (path.starts_with("/api/")) return api(request, path.substr(5));
  if (path.starts_with("/assets/")) return serve_asset(request, path.substr(8));
  if (path.empty()) return ApiReply::redirect(root + "/");
  return serve_page({"jaeger", root, "traces"});
}

ApiReply JaegerRole::api(const ApiRequest& request, std::string_view path) {
  if (path == "services") {
    const auto services = store_.services();
    if (!services.ok()) return jaeger_failure(services.error(), 500);
    return ApiReply::json(jaeger_answer(strings(services.value())));
  }
  const bool is_old = path.starts_with("services/") && path.ends_with("/operations");
  if (path == "operations" || is_old) {
    const std::string service =
        is_old ? std::string(path.substr(9, path.size() - 9 - 11)) : request.get_or("service", "");
    const auto operations = store_.operations(service);
    if (!operations.ok()) return jaeger_failure(operations.error(), 500);
    const std::string kind = request.get_or("spanKind", "");
    data::JsonArray list;
    for (const Operation& one : operations.value()) {
      if (!kind.empty() && kind != to_string(one.kind)) continue;
      if (is_old) {
        list.emplace_back(one.name);
      } else {
        list.push_back({{"name", one.name}, {"spanKind", data::Json(to_string(one.kind))}});
      }
    }
    return ApiReply::json(jaeger_answer(std::move(list)));
  }
  if (path == "traces") return find_traces(request);
  if (path.starts_with("traces/")) return one_trace(path.substr(7));
  if (path == "dependencies") return dependencies(request);
  return jaeger_failure(not_found(fmt::format("no such API: {}", path)), 404);
}

ApiReply JaegerRole::find_traces(const ApiRequest& request) {
  data::JsonArray list;
  if (const auto ids = request.all("traceID"); !ids.empty()) {
    for (const std::string& id : ids) {
      const auto normal = normal_trace_id(id);
      const auto spans = normal.ok() ? store_.trace(normal.value()) : std::vector<Span>();
      if (spans.ok() && !spans.value().empty()) list.push_back(to_jaeger_trace(spans.value()));
    }
    return ApiReply::json(jaeger_answer(std::move(list)));
  }
  const auto query = read_query(request);
  if (!query.ok()) return jaeger_failure(query.error(), 400);
  const auto traces = store_.find(query.value());
  if (!traces.ok()) return jaeger_failure(traces.error(), 500);
  for (const auto& trace : traces.value()) list.push_back(to_jaeger_trace(trace));
  return ApiReply::json(jaeger_answer(std::move(list)));
}

ApiReply JaegerRole::one_trace(std::string_view id) {
  const auto normal = normal_trace_id(id);
  if (!normal.ok()) return jaeger_failure(normal.error(), 400);
  const auto spans = store_.trace(normal.value());
  if (!spans.ok()) return jaeger_failure(spans.error(), 500);
  if (spans.value().empty()) return jaeger_failure(not_found("trace not found"), 404);
  data::JsonArray list;
  list.push_back(to_jaeger_trace(spans.value()));
  return ApiReply::json(jaeger_answer(std::move(list)));
}

ApiReply JaegerRole::dependencies(const ApiRequest& request) {
  const std::int64_t end_us = request.number_or("endTs", now_us() / 1000) * 1000;
  const std::int64_t lookback_us = request.number_or("lookback", kDayUs / 1000) * 1000;
  const auto found = store_.dependencies(end_us - lookback_us, end_us);
  if (!found.ok()) return jaeger_failure(found.error(), 500);
  data::JsonArray list;
  for (const Dependency& one : found.value()) {
    list.push_back({{"parent", one.parent}, {"child", one.child}, {"callCount", one.calls}});
  }
  return ApiReply::json(jaeger_answer(std::move(list)));
}

Result<> JaegerRole::keep(Result<ParsedSpans> parsed) {
  const ParsedSpans spans = TRY(std::move(parsed));
  if (spans.refused > 0) {
    refused_ += spans.refused;
    LOG(kWarn, "traces", "{} spans refused: {}", spans.refused, spans.first_complaint);
  }
  received_ += spans.spans.size();
  return store_.add(spans.spans, now_us());
}

ApiReply JaegerRole::zipkin(const ApiRequest& request) {
  std::string_view path = request.path;
  if (path.starts_with("/zipkin/")) path.remove_prefix(7);
  if (path == "/health") return ApiReply::json({{"status", "UP"}});
  if (path == "/metrics") return admin(request);
  if (request.method == "POST" && (path == "/api/v2/spans" || path == "/api/v1/spans")) {
    const bool is_v1 = path == "/api/v1/spans";
    Result<> kept;
    if (request.content_type.find("protobuf") != std::string::npos) {
      kept = keep(parse_zipkin_proto(request.body));
    } else if (request.content_type.find("thrift") != std::string::npos) {
      kept = Error(Code::kUnimplemented, "thrift is not read: send JSON or protobuf");
    } else {
      kept = keep(is_v1 ? parse_zipkin_v1(request.body) : parse_zipkin_v2(request.body));
    }
    if (!kept.ok()) return ApiReply::error(kept.error());
    return ApiReply::text("", 202);
  }
  if (path.starts_with("/api/v2/")) return zipkin_query(request, path.substr(8));
  if (path.starts_with("/assets/")) return serve_asset(request, path.substr(8));
  // Zipkin's own page is the trace search too; it asks Jaeger's API, which this port serves for it.
  if (path.starts_with("/api/")) return api(request, path.substr(5));
  if (request.path == "/" || request.path == "/zipkin") return ApiReply::redirect("/zipkin/");
  return serve_page({"jaeger", "/zipkin", "traces"});
}

ApiReply JaegerRole::zipkin_query(const ApiRequest& request, std::string_view path) {
  if (path == "services") {
    const auto services = store_.services();
    if (!services.ok()) return ApiReply::error(services.error());
    return ApiReply::json(strings(services.value()));
  }
  if (path == "spans") {
    const auto operations = store_.operations(request.get_or("serviceName", ""));
    if (!operations.ok()) return ApiReply::error(operations.error());
    std::vector<std::string> names;
    for (const Operation& one : operations.value()) {
      if (names.empty() || names.back() != one.name) names.push_back(one.name);
    }
    return ApiReply::json(strings(names));
  }
  const std::int64_t end_ms = request.number_or("endTs", now_us() / 1000);
  const std::int64_t lookback_ms = request.number_or("lookback", kDayUs / 1000);
  if (path == "dependencies") {
    const auto found = store_.dependencies((end_ms - lookback_ms) * 1000, end_ms * 1000);
    if (!found.ok()) return ApiReply::error(found.error());
    data::JsonArray list;
    for (const Dependency& one : found.value()) {
      list.push_back({{"parent", one.parent}, {"child", one.child}, {"callCount", one.calls}});
    }
    return ApiReply::json(list);
  }
  if (path == "traces") {
    TraceQuery query;
    query.service = request.get_or("serviceName", "");
    query.operation = request.get_or("spanName", "");
    if (query.operation == "all") query.operation.clear();
    query.start_us = (end_ms - lookback_ms) * 1000;
    query.end_us = end_ms * 1000;
    query.min_duration_us = request.number_or("minDuration", 0);
    query.max_duration_us = request.number_or("maxDuration", 0);
    query.tags = annotation_query(request.get_or("annotationQuery", ""));
    query.limit = static_cast<int>(request.number_or("limit", 10));
    const auto traces = store_.find(query);
    if (!traces.ok()) return ApiReply::error(traces.error());
    data::JsonArray list;
    for (const auto& trace : traces.value()) list.push_back(zipkin_spans(trace));
    return ApiReply::json(list);
  }
  if (path.starts_with("trace/")) {
    const auto id = normal_trace_id(path.substr(6));
    if (!id.ok()) return ApiReply::error(id.error());
    const auto spans = store_.trace(id.value());
    if (!spans.ok()) return ApiReply::error(spans.error());
    if (spans.value().empty()) return ApiReply::error(not_found("trace not found"));
    return ApiReply::json(zipkin_spans(spans.value()));
  }
  return ApiReply::error(not_found(fmt::format("no such API: {}", path)));
}

ApiReply JaegerRole::otlp(const ApiRequest& request) {
  if (request.path != "/v1/traces") return ApiReply::error(not_found("only v1/traces is served"));
  if (request.method != "POST") return ApiReply::text("POST only\n", 405);
  const bool is_json = request.content_type.starts_with("application/json");
  const auto kept = keep(is_json ? parse_otlp_json(request.body) : parse_otlp_proto(request.body));
  if (!kept.ok()) return ApiReply::error(kept.error());
  // An empty ExportTraceServiceResponse, in the request's encoding.
  if (is_json) return ApiReply::text("{}", 200, "application/json");
  return ApiReply::text("", 200, "application/x-protobuf");
}

ApiReply JaegerRole::otlp_grpc(const ApiRequest& request) {
  return grpc_unary(request, [&](std::string_view message) -> Result<std::string> {
    if (request.path != "/opentelemetry.proto.collector.trace.v1.TraceService/Export") {
      return Error(Code::kUnimplemented, "only TraceService/Export is served");
    }
    TRY(keep(parse_otlp_proto(message)));
    return std::string();
  });
}

ApiReply JaegerRole::jaeger_grpc(const ApiRequest& request) {
  return grpc_unary(request, [&](std::string_view message) -> Result<std::string> {
    if (request.path != "/jaeger.api_v2.CollectorService/PostSpans") {
      return Error(Code::kUnimplemented, "only CollectorService/PostSpans is served");
    }
    TRY(keep(parse_jaeger_proto(message)));
    return std::string();
  });
}

ApiReply JaegerRole::jaeger_thrift(const ApiRequest& request) {
  if (request.path != "/api/traces") return ApiReply::error(not_found("only api/traces is served"));
  if (request.method != "POST") return ApiReply::text("POST only\n", 405);
  const auto kept = keep(parse_jaeger_thrift(request.body));
  if (!kept.ok()) return ApiReply::error(kept.error());
  return ApiReply::text("", 202);
}

ApiReply JaegerRole::admin(const ApiRequest& request) {
  if (request.path != "/metrics") {
    return ApiReply::json({{"status", "Server available"}});
  }
  return ApiReply::text(
      fmt::format("# TYPE lateen_console_spans_received_total counter\n"
                  "lateen_console_spans_received_total {}\n"
                  "# TYPE lateen_console_spans_refused_total counter\n"
                  "lateen_console_spans_refused_total {}\n"
                  "# TYPE lateen_console_spans_stored gauge\nlateen_console_spans_stored {}\n",
                  received_.load(), refused_.load(), store_.span_count()) +
          metrics::process_metrics(),
      200, "text/plain; version=0.0.4; charset=utf-8");
}

}  // namespace lateen::console
