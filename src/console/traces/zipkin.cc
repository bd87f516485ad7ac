// Zipkin v2 and v1 JSON, Zipkin protobuf.
#include "console/traces/zipkin.h"

#include <fmt/core.h>

#include <map>

#include "base/strings.h"
#include "console/traces/wire.h"

namespace lateen::console {
namespace {

using data::Json;

void refuse(ParsedSpans& into, const Error& why) {
  if (into.refused++ == 0) into.first_complaint = why.message();
}

// Tags of an endpoint under Jaeger's names for them.
void add_endpoint(std::vector<Tag>& tags, const Json& endpoint, std::string_view prefix) {
  for (const char* key : {"ipv4", "ipv6"}) {
    const auto ip = data::get_string(endpoint, {key});
    if (!ip.empty()) tags.push_back({fmt::format("{}.{}", prefix, key), bounded(ip)});
  }
  if (const auto port = data::get_int(endpoint, {"port"}); port > 0) {
    tags.push_back({fmt::format("{}.port", prefix), std::to_string(port), TagType::kInt64});
  }
}

std::string text_of(const Json& value) {
  if (const auto* text = value.if_string()) return bounded(std::string_view(*text));
  return bounded(data::dump_json(value));
}

void add_process(Span& span, const Json& endpoint) {
  span.service = bounded(data::get_string(endpoint, {"serviceName"}));
  for (const char* key : {"ipv4", "ipv6"}) {
    const auto ip = data::get_string(endpoint, {key});
    if (!ip.empty()) span.process_tags.push_back({"ip", bounded(ip)});
  }
}

Result<Span> span_of_v2(const Json& from) {
  Span span;
  span.trace_id = TRY(normal_trace_id(data::get_string(from, {"traceId"})));
  span.span_id = TRY(normal_span_id(data::get_string(from, {"id"})));
  if (const auto parent = data::get_string(from, {"parentId"}); !parent.empty()) {
    span.parent_id = TRY(normal_span_id(parent).at("parentId"));
  }
  span.name = bounded(data::get_string(from, {"name"}));
  span.kind = span_kind(data::get_string(from, {"kind"}));
  span.start_us = data::get_int(from, {"timestamp"});
  span.duration_us = std::max<std::int64_t>(0, data::get_int(from, {"duration"}));
  if (const Json* local = data::find(from, {"localEndpoint"})) add_process(span, *local);
  if (const Json* remote = data::find(from, {"remoteEndpoint"})) {
    const auto name = data::get_string(*remote, {"serviceName"});
    if (!name.empty()) span.tags.push_back({"peer.service", bounded(name)});
    add_endpoint(span.tags, *remote, "peer");
  }
  for (const auto& [key, value] : data::get_object(from, {"tags"})) {
    if (span.tags.size() >= kMaxTags) break;
    span.tags.push_back({bounded(std::string_view(key)), text_of(value)});
  }
  for (const Json& one : data::get_array(from, {"annotations"})) {
    if (span.events.size() >= kMaxEvents) break;
    span.events.push_back({data::get_int(one, {"timestamp"}),
                           {{"event", bounded(data::get_string(one, {"value"}))}}});
  }
  return span;
}

// v1 tells the kind by its four core annotations, and the service by the endpoint in any of them.
Result<Span> span_of_v1(const Json& from) {
  Span span;
  span.trace_id = TRY(normal_trace_id(data::get_string(from, {"traceId"})));
  span.span_id = TRY(normal_span_id(data::get_string(from, {"id"})));
  if (const auto parent = data::get_string(from, {"parentId"}); !parent.empty()) {
    span.parent_id = TRY(normal_span_id(parent).at("parentId"));
  }
  span.name = bounded(data::get_string(from, {"name"}));
  std::map<std::string, std::int64_t, std::less<>> core;
  for (const Json& one : data::get_array(from, {"annotations"})) {
    const auto value = data::get_string(one, {"value"});
    const auto time = data::get_int(one, {"timestamp"});
    const bool is_core = value == "cs" || value == "cr" || value == "sr" || value == "ss";
    if (is_core) {
      core[std::string(value)] = time;
    } else if (span.events.size() < kMaxEvents) {
      span.events.push_back({time, {{"event", bounded(value)}}});
    }
    const Json* endpoint = data::find(one, {"endpoint"});
    if (endpoint != nullptr && span.service.empty()) add_process(span, *endpoint);
  }
  for (const Json& one : data::get_array(from, {"binaryAnnotations"})) {
    const Json* value = data::find(one, {"value"});
    if (value != nullptr && span.tags.size() < kMaxTags) {
      span.tags.push_back({bounded(data::get_string(one, {"key"})), text_of(*value)});
    }
    const Json* endpoint = data::find(one, {"endpoint"});
    if (endpoint != nullptr && span.service.empty()) add_process(span, *endpoint);
  }
  const bool is_client = core.contains("cs") || core.contains("cr");
  if (is_client || core.contains("sr") || core.contains("ss")) {
    span.kind = is_client ? SpanKind::kClient : SpanKind::kServer;
    const std::int64_t begin = core[is_client ? "cs" : "sr"];
    const std::int64_t end = core[is_client ? "cr" : "ss"];
    span.start_us = begin;
    if (end > begin && begin > 0) span.duration_us = end - begin;
  }
  span.start_us = data::get_int(from, {"timestamp"}, span.start_us);
  span.duration_us = data::get_int(from, {"duration"}, span.duration_us);
  return span;
}

Result<ParsedSpans> parse_list(std::string_view body, Result<Span> (*read)(const Json&)) {
  const Json root = TRY(data::parse_json(body));
  const auto* list = root.if_array();
  if (list == nullptr) return invalid("expected a JSON list of spans");
  if (list->size() > kMaxSpansPerBatch) {
    return Error(Code::kResourceExhausted,
                 fmt::format("{} spans in one request; at most {} are taken", list->size(),
                             kMaxSpansPerBatch));
  }
  ParsedSpans parsed;
  parsed.spans.reserve(list->size());
  for (const Json& one : *list) {
    auto span = read(one);
    if (span.ok()) {
      parsed.spans.push_back(std::move(span).value());
    } else {
      refuse(parsed, span.error());
    }
  }
  return parsed;
}

std::string dotted_ipv4(std::string_view bytes) {
  if (bytes.size() != 4) return "";
  const auto part = [&](int i) {
    return static_cast<unsigned>(static_cast<unsigned char>(bytes[i]));
  };
  return fmt::format("{}.{}.{}.{}", part(0), part(1), part(2), part(3));
}

struct ProtoEndpoint {
  std::string service, ip;
  std::int64_t port = 0;
};

ProtoEndpoint endpoint_of_proto(std::string_view message) {
  ProtoEndpoint endpoint;
  WireReader reader(message);
  while (reader.next()) {
    if (reader.field() == 1) endpoint.service = bounded(reader.bytes());
    if (reader.field() == 2) endpoint.ip = dotted_ipv4(reader.bytes());
    if (reader.field() == 4) endpoint.port = static_cast<std::int64_t>(reader.number());
  }
  return endpoint;
}

Tag pair_of_proto(std::string_view message) {
  Tag tag;
  WireReader reader(message);
  while (reader.next()) {
    if (reader.field() == 1) tag.key = bounded(reader.bytes());
    if (reader.field() == 2) tag.value = bounded(reader.bytes());
  }
  return tag;
}

SpanEvent annotation_of_proto(std::string_view message) {
  SpanEvent event;
  WireReader reader(message);
  while (reader.next()) {
    if (reader.field() == 1) event.time_us = static_cast<std::int64_t>(reader.number());
    if (reader.field() == 2) event.fields = {{"event", bounded(reader.bytes())}};
  }
  return event;
}

Result<Span> span_of_proto(std::string_view message) {
  constexpr SpanKind kKinds[] = {SpanKind::kNone, SpanKind::kClient, SpanKind::kServer,
                                 SpanKind::kProducer, SpanKind::kConsumer};
  Span span;
  WireReader reader(message);
  while (reader.next()) {
    switch (reader.field()) {
      case 1: span.trace_id = TRY(normal_trace_id(hex_encode(reader.bytes()))); break;
      case 2:
        if (!reader.bytes().empty())
          span.parent_id = TRY(normal_span_id(hex_encode(reader.bytes())));
        break;
      case 3: span.span_id = TRY(normal_span_id(hex_encode(reader.bytes()))); break;
      case 4:
        if (reader.number() < std::size(kKinds)) span.kind = kKinds[reader.number()];
        break;
      case 5: span.name = bounded(reader.bytes()); break;
      case 6: span.start_us = static_cast<std::int64_t>(reader.number()); break;
      case 7: span.duration_us = static_cast<std::int64_t>(reader.number()); break;
      case 8: {
        const ProtoEndpoint local = endpoint_of_proto(reader.bytes());
        span.service = local.service;
        if (!local.ip.empty()) span.process_tags.push_back({"ip", local.ip});
        break;
      }
      case 9: {
        const ProtoEndpoint remote = endpoint_of_proto(reader.bytes());
        if (!remote.service.empty()) span.tags.push_back({"peer.service", remote.service});
        if (!remote.ip.empty()) span.tags.push_back({"peer.ipv4", remote.ip});
        if (remote.port > 0) {
          span.tags.push_back({"peer.port", std::to_string(remote.port), TagType::kInt64});
        }
        break;
      }
      case 10:
        if (span.events.size() < kMaxEvents)
          span.events.push_back(annotation_of_proto(reader.bytes()));
        break;
      case 11:
        if (span.tags.size() < kMaxTags) span.tags.push_back(pair_of_proto(reader.bytes()));
        break;
      default: break;
    }
  }
  if (reader.is_bad()) return invalid("malformed span message");
  if (span.trace_id.empty() || span.span_id.empty()) return invalid("span without trace id or id");
  return span;
}

}  // namespace

Result<ParsedSpans> parse_zipkin_v2(std::string_view body) { return parse_list(body, span_of_v2); }

Result<ParsedSpans> parse_zipkin_v1(std::string_view body) { return parse_list(body, span_of_v1); }

Result<ParsedSpans> parse_zipkin_proto(std::string_view body) {
  ParsedSpans parsed;
  WireReader reader(body);
  while (reader.next()) {
    if (reader.field() != 1) continue;
    if (parsed.spans.size() + parsed.refused >= kMaxSpansPerBatch) {
      return Error(Code::kResourceExhausted, "too many spans in one request");
    }
    auto span = span_of_proto(reader.bytes());
    if (span.ok()) {
      parsed.spans.push_back(std::move(span).value());
    } else {
      refuse(parsed, span.error());
    }
  }
  if (reader.is_bad()) return invalid("malformed list of spans");
  return parsed;
}

Json to_zipkin_v2(const Span& span) {
  data::JsonObject out;
  out["traceId"] = span.trace_id;
  if (!span.parent_id.empty()) out["parentId"] = span.parent_id;
  out["id"] = span.span_id;
  if (span.kind != SpanKind::kNone && span.kind != SpanKind::kInternal) {
    std::string kind(to_string(span.kind));
    for (char& c : kind) c = static_cast<char>(c - 'a' + 'A');
    out["kind"] = kind;
  }
  out["name"] = span.name;
  out["timestamp"] = span.start_us;
  out["duration"] = span.duration_us;
  data::JsonObject local;
  if (!span.service.empty()) local["serviceName"] = span.service;
  for (const Tag& tag : span.process_tags) {
    if (tag.key == "ip")
      local[tag.value.find(':') == std::string::npos ? "ipv4" : "ipv6"] = tag.value;
  }
  out["localEndpoint"] = std::move(local);
  data::JsonArray annotations;
  for (const SpanEvent& event : span.events) {
    annotations.push_back({{"timestamp", event.time_us},
                           {"value", event.fields.empty() ? "" : event.fields.front().value}});
  }
  if (!annotations.empty()) out["annotations"] = std::move(annotations);
  data::JsonObject tags;
  for (const Tag& tag : span.tags) tags[tag.key] = tag.value;
  out["tags"] = std::move(tags);
  return out;
}

}  // namespace lateen::console
