// Jaeger's Thrift and protobuf spans.
#include "console/traces/jaeger_in.h"

#include <fmt/core.h>

#include "base/strings.h"
#include "console/traces/thrift.h"
#include "console/traces/wire.h"

namespace lateen::console {
namespace {

struct Process {
  std::string service;
  std::vector<Tag> tags;
};

// Jaeger says the kind in a tag; ours has a place of its own.
void take_kind(Span& span) {
  std::erase_if(span.tags, [&](const Tag& tag) {
    if (tag.key != "span.kind") return false;
    span.kind = span_kind(tag.value);
    return true;
  });
}

void refuse(ParsedSpans& parsed, std::string_view why) {
  if (parsed.refused++ == 0) parsed.first_complaint = why;
}

bool is_full(const ParsedSpans& parsed) {
  return parsed.spans.size() + parsed.refused >= kMaxSpansPerBatch;
}

void keep(ParsedSpans& parsed, Result<Span> span) {
  if (span.ok()) {
    parsed.spans.push_back(std::move(span).value());
  } else {
    refuse(parsed, span.error().message());
  }
}

std::string hex(std::uint64_t id) { return fmt::format("{:016x}", id); }

// ---- Thrift

Tag thrift_tag(ThriftReader& in) {
  Tag tag;
  in.fields([&](int id, ThriftReader::Type type) {
    if (id == 1 && type == ThriftReader::kString) {
      tag.key = bounded(in.text());
    } else if (id == 3 && type == ThriftReader::kString) {
      tag.value = bounded(in.text());
    } else if (id == 4 && type == ThriftReader::kDouble) {
      tag.value = fmt::format("{}", in.real());
      tag.type = TagType::kFloat64;
    } else if (id == 5 && type == ThriftReader::kBool) {
      tag.value = in.integer(1) != 0 ? "true" : "false";
      tag.type = TagType::kBool;
    } else if (id == 6 && type == ThriftReader::kI64) {
      tag.value = std::to_string(in.i64());
      tag.type = TagType::kInt64;
    } else {
      return false;
    }
    return true;
  });
  return tag;
}

std::vector<Tag> thrift_tags(ThriftReader& in) {
  std::vector<Tag> tags;
  in.structs([&] {
    Tag tag = thrift_tag(in);
    if (tags.size() < kMaxTags) tags.push_back(std::move(tag));
  });
  return tags;
}

SpanEvent thrift_log(ThriftReader& in) {
  SpanEvent event;
  in.fields([&](int id, ThriftReader::Type type) {
    if (id == 1 && type == ThriftReader::kI64) {
      event.time_us = in.i64();
    } else if (id == 2 && type == ThriftReader::kList) {
      event.fields = thrift_tags(in);
    } else {
      return false;
    }
    return true;
  });
  return event;
}

// The parent's id of a CHILD_OF (0) or FOLLOWS_FROM (1) reference; the former counts.
std::uint64_t thrift_parent(ThriftReader& in) {
  std::uint64_t parent = 0;
  in.structs([&] {
    std::uint64_t span_id = 0;
    std::int32_t kind = 0;
    in.fields([&](int id, ThriftReader::Type type) {
      if (id == 1 && type == ThriftReader::kI32) {
        kind = in.i32();
      } else if (id == 4 && type == ThriftReader::kI64) {
        span_id = in.integer(8);
      } else {
        return false;
      }
      return true;
    });
    if (parent == 0 || kind == 0) parent = span_id;
  });
  return parent;
}

Result<Span> thrift_span(ThriftReader& in) {
  Span span;
  std::uint64_t low = 0, high = 0, own = 0, parent = 0, referred = 0;
  in.fields([&](int id, ThriftReader::Type type) {
    if (type == ThriftReader::kI64 && id >= 1 && id <= 4) {
      std::uint64_t* const slots[] = {&low, &high, &own, &parent};
      *slots[id - 1] = in.integer(8);
    } else if (id == 5 && type == ThriftReader::kString) {
      span.name = bounded(in.text());
    } else if (id == 6 && type == ThriftReader::kList) {
      referred = thrift_parent(in);
    } else if (id == 8 && type == ThriftReader::kI64) {
      span.start_us = in.i64();
    } else if (id == 9 && type == ThriftReader::kI64) {
      span.duration_us = std::max<std::int64_t>(0, in.i64());
    } else if (id == 10 && type == ThriftReader::kList) {
      span.tags = thrift_tags(in);
    } else if (id == 11 && type == ThriftReader::kList) {
      in.structs([&] {
        SpanEvent event = thrift_log(in);
        if (span.events.size() < kMaxEvents) span.events.push_back(std::move(event));
      });
    } else {
      return false;
    }
    return true;
  });
  span.trace_id = TRY(normal_trace_id(high == 0 ? hex(low) : hex(high) + hex(low)));
  span.span_id = TRY(normal_span_id(hex(own)));
  if (parent == 0) parent = referred;
  if (parent != 0) span.parent_id = hex(parent);
  take_kind(span);
  return span;
}

// ---- protobuf (model.proto)

std::int64_t micros_of(std::string_view message) {  // Timestamp or Duration
  std::int64_t seconds = 0, nanos = 0;
  WireReader reader(message);
  while (reader.next()) {
    if (reader.field() == 1) seconds = static_cast<std::int64_t>(reader.number());
    if (reader.field() == 2) nanos = static_cast<std::int64_t>(reader.number());
  }
  return seconds * 1'000'000 + nanos / 1000;
}

Tag proto_tag(std::string_view message) {
  constexpr TagType kTypes[] = {TagType::kString, TagType::kBool, TagType::kInt64,
                                TagType::kFloat64, TagType::kString};
  Tag tag;
  std::uint64_t type = 0;
  std::string text;
  std::uint64_t boolean = 0;
  std::int64_t integer = 0;
  double real = 0;
  WireReader reader(message);
  while (reader.next()) {
    if (reader.field() == 1) tag.key = bounded(reader.bytes());
    if (reader.field() == 2) type = reader.number();
    if (reader.field() == 3) text = bounded(reader.bytes());
    if (reader.field() == 4) boolean = reader.number();
    if (reader.field() == 5) integer = static_cast<std::int64_t>(reader.number());
    if (reader.field() == 6) real = reader.real();
  }
  tag.type = type < std::size(kTypes) ? kTypes[type] : TagType::kString;
  switch (tag.type) {
    case TagType::kBool: tag.value = boolean != 0 ? "true" : "false"; break;
    case TagType::kInt64: tag.value = std::to_string(integer); break;
    case TagType::kFloat64: tag.value = fmt::format("{}", real); break;
    case TagType::kString: tag.value = std::move(text); break;
  }
  return tag;
}

Process proto_process(std::string_view message) {
  Process process;
  WireReader reader(message);
  while (reader.next()) {
    if (reader.field() == 1) process.service = bounded(reader.bytes());
    if (reader.field() == 2 && process.tags.size() < kMaxTags) {
      process.tags.push_back(proto_tag(reader.bytes()));
    }
  }
  return process;
}

SpanEvent proto_log(std::string_view message) {
  SpanEvent event;
  WireReader reader(message);
  while (reader.next()) {
    if (reader.field() == 1) event.time_us = micros_of(reader.bytes());
    if (reader.field() == 2 && event.fields.size() < kMaxTags) {
      event.fields.push_back(proto_tag(reader.bytes()));
    }
  }
  return event;
}

// {span id, is CHILD_OF}
std::pair<std::string, bool> proto_reference(std::string_view message) {
  std::string id;
  bool is_child_of = true;
  WireReader reader(message);
  while (reader.next()) {
    if (reader.field() == 2) id = hex_encode(reader.bytes());
    if (reader.field() == 3) is_child_of = reader.number() == 0;
  }
  return {id, is_child_of};
}

Result<Span> proto_span(std::string_view message, const Process& batch) {
  Span span;
  Process process = batch;
  WireReader reader(message);
  while (reader.next()) {
    switch (reader.field()) {
      case 1: span.trace_id = TRY(normal_trace_id(hex_encode(reader.bytes()))); break;
      case 2: span.span_id = TRY(normal_span_id(hex_encode(reader.bytes()))); break;
      case 3: span.name = bounded(reader.bytes()); break;
      case 4: {
        const auto [id, is_child_of] = proto_reference(reader.bytes());
        const auto parent = normal_span_id(id);
        if (parent.ok() && (is_child_of || span.parent_id.empty())) span.parent_id = parent.value();
        break;
      }
      case 6: span.start_us = micros_of(reader.bytes()); break;
      case 7: span.duration_us = std::max<std::int64_t>(0, micros_of(reader.bytes())); break;
      case 8:
        if (span.tags.size() < kMaxTags) span.tags.push_back(proto_tag(reader.bytes()));
        break;
      case 9:
        if (span.events.size() < kMaxEvents) span.events.push_back(proto_log(reader.bytes()));
        break;
      case 10: process = proto_process(reader.bytes()); break;
      default: break;
    }
  }
  if (reader.is_bad()) return invalid("malformed span message");
  if (span.trace_id.empty() || span.span_id.empty()) return invalid("span without trace id or id");
  span.service = process.service;
  span.process_tags = process.tags;
  take_kind(span);
  return span;
}

}  // namespace

Result<ParsedSpans> parse_jaeger_thrift(std::string_view body) {
  ThriftReader in(body);
  ParsedSpans parsed;
  Process process;
  in.fields([&](int id, ThriftReader::Type type) {
    if (id == 1 && type == ThriftReader::kStruct) {
      in.fields([&](int field, ThriftReader::Type kind) {
        if (field == 1 && kind == ThriftReader::kString) {
          process.service = bounded(in.text());
        } else if (field == 2 && kind == ThriftReader::kList) {
          process.tags = thrift_tags(in);
        } else {
          return false;
        }
        return true;
      });
      return true;
    }
    if (id != 2 || type != ThriftReader::kList) return false;
    in.structs([&] {
      auto span = thrift_span(in);
      if (!is_full(parsed) && !in.is_bad()) keep(parsed, std::move(span));
    });
    return true;
  });
  if (in.is_bad()) return invalid("malformed Thrift batch (binary protocol expected)");
  for (Span& span : parsed.spans) {
    span.service = process.service;
    span.process_tags = process.tags;
  }
  return parsed;
}

Result<ParsedSpans> parse_jaeger_proto(std::string_view message) {
  ParsedSpans parsed;
  WireReader request(message);
  while (request.next()) {
    if (request.field() != 1) continue;
    Process process;
    for (WireReader batch(request.bytes()); batch.next();) {
      if (batch.field() == 2) process = proto_process(batch.bytes());
    }
    for (WireReader batch(request.bytes()); batch.next();) {
      if (batch.field() == 1 && !is_full(parsed)) keep(parsed, proto_span(batch.bytes(), process));
    }
  }
  if (request.is_bad()) return invalid("malformed PostSpansRequest");
  return parsed;
}

}  // namespace lateen::console
