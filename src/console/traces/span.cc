// Checks and small operations on spans.
#include "console/traces/span.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "base/strings.h"

namespace lateen::console {
namespace {

Result<std::string> normal_id(std::string_view text, std::size_t most_digits,
                              std::string_view what) {
  if (text.empty() || text.size() > most_digits) {
    return invalid(
        fmt::format("{} has {} characters, expected 1 to {}", what, text.size(), most_digits));
  }
  std::string id = to_lower(text);
  if (id.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return invalid(fmt::format("{} '{}' is not hexadecimal", what, text));
  }
  if (id.find_first_not_of('0') == std::string::npos) {
    return invalid(fmt::format("{} is all zeros", what));
  }
  const std::size_t width = id.size() > 16 ? 32 : 16;
  id.insert(0, width - id.size(), '0');
  return id;
}

}  // namespace

std::string_view to_string(SpanKind kind) {
  switch (kind) {
    case SpanKind::kClient: return "client";
    case SpanKind::kServer: return "server";
    case SpanKind::kProducer: return "producer";
    case SpanKind::kConsumer: return "consumer";
    case SpanKind::kInternal: return "internal";
    case SpanKind::kNone: break;
  }
  return "";
}

SpanKind span_kind(std::string_view name) {
  for (const SpanKind kind : {SpanKind::kClient, SpanKind::kServer, SpanKind::kProducer,
                              SpanKind::kConsumer, SpanKind::kInternal}) {
    if (iequals(name, to_string(kind))) return kind;
  }
  return SpanKind::kNone;
}

const Tag* Span::tag(std::string_view key) const {
  for (const Tag& one : tags) {
    if (one.key == key) return &one;
  }
  return nullptr;
}

bool Span::is_error() const {
  if (const Tag* error = tag("error")) return error->value != "false";
  if (const Tag* status = tag("otel.status_code")) return status->value == "ERROR";
  const Tag* status = tag("http.status_code");
  return status != nullptr && status->value.starts_with('5');
}

Result<std::string> normal_trace_id(std::string_view text) {
  return normal_id(text, 32, "trace id");
}

Result<std::string> normal_span_id(std::string_view text) { return normal_id(text, 16, "span id"); }

std::string bounded(std::string_view text) {
  if (text.size() <= kMaxTextBytes) return std::string(text);
  std::size_t end = kMaxTextBytes;
  // Not in the middle of a UTF-8 sequence.
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return std::string(text.substr(0, end));
}

void split_shared_spans(std::vector<Span>& trace) {
  std::map<std::string, std::vector<std::size_t>> by_id;
  for (std::size_t i = 0; i < trace.size(); ++i) by_id[trace[i].span_id].push_back(i);
  for (const auto& [id, indices] : by_id) {
    if (indices.size() < 2) continue;
    const bool has_client = std::any_of(indices.begin(), indices.end(), [&](std::size_t i) {
      return trace[i].kind == SpanKind::kClient;
    });
    if (!has_client) continue;
    for (const std::size_t i : indices) {
      Span& server = trace[i];
      if (server.kind != SpanKind::kServer) continue;
      // Derived, so that each look at the trace shows the same ids.
      const std::string own = fmt::format("{:016x}", fnv1a64(id + "/" + server.service) | 1);
      for (Span& child : trace) {
        if (child.parent_id == id && child.service == server.service) child.parent_id = own;
      }
      server.span_id = own;
      server.parent_id = id;
    }
  }
}

}  // namespace lateen::console
