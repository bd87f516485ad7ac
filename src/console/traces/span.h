// Span: one timed step of a trace, whatever dialect it came in (Zipkin, OTLP).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lateen::console {

enum class TagType : unsigned char { kString, kBool, kInt64, kFloat64 };

struct Tag {
  std::string key;
  std::string value;  // as text: "true", "12", "0.5"
  TagType type = TagType::kString;
  bool operator==(const Tag&) const = default;
};

// Something that happened within a span.
struct SpanEvent {
  std::int64_t time_us = 0;
  std::vector<Tag> fields;
};

enum class SpanKind : unsigned char { kNone, kClient, kServer, kProducer, kConsumer, kInternal };
std::string_view to_string(SpanKind kind);  // "client", …; empty for kNone
SpanKind span_kind(std::string_view name);  // any case; kNone when unknown

struct Span {
  std::string trace_id;   // 16 or 32 hex digits, lower case
  std::string span_id;    // 16 hex digits
  std::string parent_id;  // empty for a root
  std::string name;
  std::string service;
  SpanKind kind = SpanKind::kNone;
  std::int64_t start_us = 0;  // since 1970
  std::int64_t duration_us = 0;
  std::vector<Tag> tags;
  std::vector<SpanEvent> events;
  std::vector<Tag> process_tags;  // of the process that sent it: ip, host name

  // A status of 5xx, error=true or an error text.
  bool is_error() const;
  const Tag* tag(std::string_view key) const;
};

// Lower-case hex padded with zeros to 16 or 32 digits; fails for other characters, more digits or
// only zeros.
Result<std::string> normal_trace_id(std::string_view text);
Result<std::string> normal_span_id(std::string_view text);

// What hostile senders are held to: longer texts are cut, more entries dropped.
inline constexpr std::size_t kMaxSpansPerBatch = 20'000;
inline constexpr std::size_t kMaxTags = 128;
inline constexpr std::size_t kMaxEvents = 128;
inline constexpr std::size_t kMaxTextBytes = 4096;
std::string bounded(std::string_view text);

// In Zipkin's shared-span dialect a call's client and server halves have one id. Gives the server
// half an id of its own, beneath the client's, and moves the children of the server's process with
// it.
void split_shared_spans(std::vector<Span>& trace);

}  // namespace lateen::console
