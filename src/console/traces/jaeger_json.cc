// Spans to Jaeger's JSON: processes are numbered per trace, parents become references.
#include "console/traces/jaeger_json.h"

#include <map>

#include "base/strings.h"

namespace lateen::console {
namespace {

data::Json typed_value(const Tag& tag) {
  switch (tag.type) {
    case TagType::kBool: return tag.value == "true";
    case TagType::kInt64:
      if (const auto number = parse_int(tag.value)) return *number;
      break;
    case TagType::kFloat64:
      if (const auto number = parse_double(tag.value)) return *number;
      break;
    case TagType::kString: break;
  }
  return data::Json(tag.value);
}

std::string_view type_name(TagType type) {
  switch (type) {
    case TagType::kBool: return "bool";
    case TagType::kInt64: return "int64";
    case TagType::kFloat64: return "float64";
    case TagType::kString: break;
  }
  return "string";
}

data::JsonArray tag_list(const std::vector<Tag>& tags) {
  data::JsonArray list;
  for (const Tag& tag : tags) {
    list.push_back({{"key", tag.key},
                    {"type", std::string(type_name(tag.type))},
                    {"value", typed_value(tag)}});
  }
  return list;
}

data::Json to_jaeger_span(const Span& span, const std::string& process) {
  data::JsonArray references;
  if (!span.parent_id.empty()) {
    references.push_back(
        {{"refType", "CHILD_OF"}, {"traceID", span.trace_id}, {"spanID", span.parent_id}});
  }
  std::vector<Tag> tags = span.tags;
  if (span.kind != SpanKind::kNone)
    tags.push_back({"span.kind", std::string(to_string(span.kind))});
  if (span.is_error() && span.tag("error") == nullptr) {
    tags.push_back({"error", "true", TagType::kBool});
  }
  data::JsonArray logs;
  for (const SpanEvent& event : span.events) {
    logs.push_back({{"timestamp", event.time_us}, {"fields", tag_list(event.fields)}});
  }
  return {{"traceID", span.trace_id},
          {"spanID", span.span_id},
          {"flags", 1},
          {"operationName", span.name},
          {"references", std::move(references)},
          {"startTime", span.start_us},
          {"duration", span.duration_us},
          {"tags", tag_list(tags)},
          {"logs", std::move(logs)},
          {"processID", process},
          {"warnings", nullptr}};
}

}  // namespace

data::Json to_jaeger_trace(const std::vector<Span>& spans) {
  std::map<std::string, std::string> numbers;  // service and its tags -> "p1"
  data::JsonObject processes;
  data::JsonArray list;
  for (const Span& span : spans) {
    std::string identity = span.service;
    for (const Tag& tag : span.process_tags) identity += "\n" + tag.key + "=" + tag.value;
    auto [entry, is_new] = numbers.emplace(identity, "p" + std::to_string(numbers.size() + 1));
    if (is_new) {
      processes[entry->second] = {{"serviceName", span.service},
                                  {"tags", tag_list(span.process_tags)}};
    }
    list.push_back(to_jaeger_span(span, entry->second));
  }
  return {{"traceID", spans.empty() ? std::string() : spans.front().trace_id},
          {"spans", std::move(list)},
          {"processes", std::move(processes)},
          {"warnings", nullptr}};
}

data::Json jaeger_answer(data::JsonArray list) {
  const auto total = list.size();
  return {{"data", std::move(list)},
          {"total", total},
          {"limit", 0},
          {"offset", 0},
          {"errors", nullptr}};
}

data::Json jaeger_error(int code, std::string_view message) {
  data::JsonObject error{{"code", code}, {"msg", data::Json(message)}};
  data::JsonArray errors;
  errors.push_back(std::move(error));
  return {
      {"data", nullptr}, {"total", 0}, {"limit", 0}, {"offset", 0}, {"errors", std::move(errors)}};
}

}  // namespace lateen::console
