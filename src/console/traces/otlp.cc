// Both encodings walk the same tree: resource spans, scope spans, spans.
#include "console/traces/otlp.h"

#include <fmt/core.h>

#include "base/strings.h"
#include "console/traces/wire.h"

namespace lateen::console {
namespace {

using data::Json;

// SpanKind's numbers in trace.proto.
constexpr SpanKind kKinds[] = {SpanKind::kNone,   SpanKind::kInternal, SpanKind::kServer,
                               SpanKind::kClient, SpanKind::kProducer, SpanKind::kConsumer};
constexpr int kStatusError = 2;

struct Process {
  std::string service = "unknown_service";
  std::vector<Tag> tags;
  void add(Tag tag) {
    if (tag.key == "service.name") {
      service = tag.value;
    } else if (tags.size() < kMaxTags) {
      tags.push_back(std::move(tag));
    }
  }
};

void finish(ParsedSpans& parsed, Result<Span> span, const Process& process) {
  if (!span.ok()) {
    if (parsed.refused++ == 0) parsed.first_complaint = span.error().message();
    return;
  }
  Span done = std::move(span).value();
  done.service = process.service;
  done.process_tags = process.tags;
  parsed.spans.push_back(std::move(done));
}

void add_status(Span& span, int code, std::string_view message) {
  if (code != kStatusError) return;
  span.tags.push_back({"error", "true", TagType::kBool});
  if (!message.empty()) span.tags.push_back({"otel.status_description", bounded(message)});
}

// JSON: 64-bit numbers may be strings.
std::int64_t nanos_at(const Json& value, std::string_view key) {
  const Json* found = data::find(value, {key});
  if (found == nullptr) return 0;
  if (const auto* text = found->if_string()) return parse_int(std::string_view(*text)).value_or(0);
  return data::as_int(*found).value_or(0);
}

Tag tag_of_json(const Json& pair) {
  Tag tag{bounded(data::get_string(pair, {"key"})), "", TagType::kString};
  const auto& value = data::get_object(pair, {"value"});
  if (value.empty()) return tag;
  const auto& [kind, content] = *value.begin();
  if (const auto* text = content.if_string()) {
    tag.value = bounded(std::string_view(*text));
  } else {
    tag.value = bounded(data::dump_json(content));
  }
  const std::string_view name(kind);
  if (name == "boolValue") tag.type = TagType::kBool;
  if (name == "intValue") tag.type = TagType::kInt64;
  if (name == "doubleValue") tag.type = TagType::kFloat64;
  return tag;
}

Result<Span> span_of_json(const Json& from) {
  Span span;
  span.trace_id = TRY(normal_trace_id(data::get_string(from, {"traceId"})));
  span.span_id = TRY(normal_span_id(data::get_string(from, {"spanId"})));
  if (const auto parent = data::get_string(from, {"parentSpanId"}); !parent.empty()) {
    span.parent_id = TRY(normal_span_id(parent).at("parentSpanId"));
  }
  span.name = bounded(data::get_string(from, {"name"}));
  const auto kind = data::get_int(from, {"kind"});
  if (kind > 0 && kind < static_cast<std::int64_t>(std::size(kKinds))) span.kind = kKinds[kind];
  const auto begin = nanos_at(from, "startTimeUnixNano");
  const auto end = nanos_at(from, "endTimeUnixNano");
  span.start_us = begin / 1000;
  span.duration_us = end > begin ? (end - begin) / 1000 : 0;
  for (const Json& pair : data::get_array(from, {"attributes"})) {
    if (span.tags.size() < kMaxTags) span.tags.push_back(tag_of_json(pair));
  }
  for (const Json& one : data::get_array(from, {"events"})) {
    if (span.events.size() >= kMaxEvents) break;
    SpanEvent event{nanos_at(one, "timeUnixNano") / 1000,
                    {{"event", bounded(data::get_string(one, {"name"}))}}};
    for (const Json& pair : data::get_array(one, {"attributes"})) {
      if (event.fields.size() < kMaxTags) event.fields.push_back(tag_of_json(pair));
    }
    span.events.push_back(std::move(event));
  }
  add_status(span, static_cast<int>(data::get_int(from, {"status", "code"})),
             data::get_string(from, {"status", "message"}));
  return span;
}

// AnyValue: string 1, bool 2, int 3, double 4; arrays, maps and bytes are shown by their size.
void value_of_proto(Tag& tag, std::string_view message) {
  WireReader reader(message);
  while (reader.next()) {
    switch (reader.field()) {
      case 1: tag.value = bounded(reader.bytes()); break;
      case 2:
        tag.value = reader.number() != 0 ? "true" : "false";
        tag.type = TagType::kBool;
        break;
      case 3:
        tag.value = std::to_string(static_cast<std::int64_t>(reader.number()));
        tag.type = TagType::kInt64;
        break;
      case 4:
        tag.value = fmt::format("{}", reader.real());
        tag.type = TagType::kFloat64;
        break;
      default: tag.value = fmt::format("({} bytes)", reader.bytes().size()); break;
    }
  }
}

Tag tag_of_proto(std::string_view message) {
  Tag tag;
  WireReader reader(message);
  while (reader.next()) {
    if (reader.field() == 1) tag.key = bounded(reader.bytes());
    if (reader.field() == 2) value_of_proto(tag, reader.bytes());
  }
  return tag;
}

SpanEvent event_of_proto(std::string_view message) {
  SpanEvent event;
  WireReader reader(message);
  while (reader.next()) {
    if (reader.field() == 1) event.time_us = static_cast<std::int64_t>(reader.number() / 1000);
    if (reader.field() == 2) event.fields.push_back({"event", bounded(reader.bytes())});
    if (reader.field() == 3 && event.fields.size() < kMaxTags) {
      event.fields.push_back(tag_of_proto(reader.bytes()));
    }
  }
  return event;
}

void status_of_proto(Span& span, std::string_view message) {
  std::string_view text;
  int code = 0;
  WireReader reader(message);
  while (reader.next()) {
    if (reader.field() == 2) text = reader.bytes();
    if (reader.field() == 3) code = static_cast<int>(reader.number());
  }
  add_status(span, code, text);
}

Result<Span> span_of_proto(std::string_view message) {
  Span span;
  std::uint64_t begin = 0, end = 0;
  WireReader reader(message);
  while (reader.next()) {
    switch (reader.field()) {
      case 1: span.trace_id = TRY(normal_trace_id(hex_encode(reader.bytes()))); break;
      case 2: span.span_id = TRY(normal_span_id(hex_encode(reader.bytes()))); break;
      case 4:
        if (!reader.bytes().empty())
          span.parent_id = TRY(normal_span_id(hex_encode(reader.bytes())));
        break;
      case 5: span.name = bounded(reader.bytes()); break;
      case 6:
        if (reader.number() < std::size(kKinds)) span.kind = kKinds[reader.number()];
        break;
      case 7: begin = reader.number(); break;
      case 8: end = reader.number(); break;
      case 9:
        if (span.tags.size() < kMaxTags) span.tags.push_back(tag_of_proto(reader.bytes()));
        break;
      case 11:
        if (span.events.size() < kMaxEvents) span.events.push_back(event_of_proto(reader.bytes()));
        break;
      case 15: status_of_proto(span, reader.bytes()); break;
      default: break;
    }
  }
  if (reader.is_bad()) return invalid("malformed span message");
  if (span.trace_id.empty() || span.span_id.empty())
    return invalid("span without trace id or span id");
  span.start_us = static_cast<std::int64_t>(begin / 1000);
  span.duration_us = end > begin ? static_cast<std::int64_t>((end - begin) / 1000) : 0;
  return span;
}

Process process_of_proto(std::string_view message) {
  Process process;
  WireReader reader(message);
  while (reader.next()) {
    if (reader.field() == 1) process.add(tag_of_proto(reader.bytes()));
  }
  return process;
}

bool is_full(const ParsedSpans& parsed) {
  return parsed.spans.size() + parsed.refused >= kMaxSpansPerBatch;
}

// Scope spans of either field order: the resource may follow them.
void resource_spans_of_proto(ParsedSpans& parsed, std::string_view message) {
  Process process;
  for (WireReader reader(message); reader.next();) {
    if (reader.field() == 1) process = process_of_proto(reader.bytes());
  }
  for (WireReader reader(message); reader.next();) {
    if (reader.field() != 2) continue;
    for (WireReader scope(reader.bytes()); scope.next();) {
      if (scope.field() == 2 && !is_full(parsed))
        finish(parsed, span_of_proto(scope.bytes()), process);
    }
  }
}

}  // namespace

Result<ParsedSpans> parse_otlp_json(std::string_view body) {
  const Json root = TRY(data::parse_json(body));
  if (data::find(root, {"resourceSpans"}) == nullptr) {
    return invalid("expected an object with resourceSpans");
  }
  ParsedSpans parsed;
  for (const Json& resource : data::get_array(root, {"resourceSpans"})) {
    Process process;
    for (const Json& pair : data::get_array(resource, {"resource", "attributes"})) {
      process.add(tag_of_json(pair));
    }
    for (const Json& scope : data::get_array(resource, {"scopeSpans"})) {
      for (const Json& span : data::get_array(scope, {"spans"})) {
        if (!is_full(parsed)) finish(parsed, span_of_json(span), process);
      }
    }
  }
  return parsed;
}

Result<ParsedSpans> parse_otlp_proto(std::string_view body) {
  ParsedSpans parsed;
  WireReader reader(body);
  while (reader.next()) {
    if (reader.field() == 1) resource_spans_of_proto(parsed, reader.bytes());
  }
  if (reader.is_bad()) return invalid("malformed ExportTraceServiceRequest");
  return parsed;
}

}  // namespace lateen::console
