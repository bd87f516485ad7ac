// Envoy's names; malformed values are as if absent.

#include "proxy/http/overrides.h"

#include <algorithm>

#include "base/strings.h"

namespace lateen::proxy {
namespace {

constexpr std::string_view kPrefix = "x-envoy-";
constexpr std::uint64_t kMostMillis = 1'000'000'000;  // eleven days

std::optional<milliseconds> to_span(std::string_view text) {
  const auto number = parse_uint(trim(text));
  if (!number || *number > kMostMillis) return std::nullopt;
  return milliseconds(static_cast<std::int64_t>(*number));
}

// False when the header is none of ours.
bool read(std::string_view name, std::string_view value, RequestOverrides& made) {
  name.remove_prefix(kPrefix.size());
  if (iequals(name, "upstream-rq-timeout-ms")) {
    made.timeout = to_span(value);
  } else if (iequals(name, "upstream-rq-per-try-timeout-ms")) {
    made.per_try_timeout = to_span(value);
  } else if (iequals(name, "upstream-stream-duration-ms")) {
    made.stream_duration = to_span(value);
  } else if (iequals(name, "max-retries")) {
    if (const auto number = parse_uint(trim(value)))
      made.most_retries = static_cast<std::uint32_t>(std::min<std::uint64_t>(*number, 100));
  } else if (iequals(name, "retry-on") || iequals(name, "retry-grpc-on")) {
    made.retry_on |= RetryPolicy::parse_on(value);
  } else if (iequals(name, "retriable-status-codes")) {
    for (const auto part : split(value, ','))
      if (const auto code = parse_uint(trim(part)); code && *code < 1000)
        made.status_codes.push_back(static_cast<int>(*code));
  } else if (iequals(name, "retriable-header-names")) {
    for (const auto part : split(value, ','))
      if (!trim(part).empty()) made.header_names.emplace_back(trim(part));
  } else if (iequals(name, "hedge-on-per-try-timeout")) {
    made.is_hedged = iequals(trim(value), "true");
  } else {
    return iequals(name, "upstream-alt-stat-name");
  }
  return true;
}

}  // namespace

std::unique_ptr<RequestOverrides> take_overrides(http::Request& request) {
  std::unique_ptr<RequestOverrides> made;
  request.headers.remove_if([&](const http::Headers::Field& field) {
    if (field.name.size() <= kPrefix.size() ||
        !iequals(field.name.substr(0, kPrefix.size()), kPrefix))
      return false;
    if (made == nullptr) made = std::make_unique<RequestOverrides>();
    return read(field.name, field.value, *made);
  });
  return made;
}

std::string grpc_timeout_text(milliseconds timeout) {
  constexpr std::int64_t kMost = 99999999;
  std::int64_t count = timeout.count();
  const char* unit = "mSMH";
  if (count > kMost) {
    count /= 1000;
    ++unit;
  }
  while (count > kMost && *unit != 'H') {
    count /= 60;
    ++unit;
  }
  return std::to_string(std::min(count, kMost)) + *unit;
}

std::optional<milliseconds> grpc_timeout_of(const http::Headers& headers) {
  const auto text = headers.get("grpc-timeout");
  if (!text || text->size() < 2 || text->size() > 9) return std::nullopt;
  const auto amount = parse_uint(text->substr(0, text->size() - 1));
  if (!amount) return std::nullopt;
  const auto value = static_cast<std::int64_t>(*amount);
  switch (text->back()) {
    case 'H': return hours(value);
    case 'M': return minutes(value);
    case 'S': return seconds(value);
    case 'm': return milliseconds(value);
    case 'u': return milliseconds((value + 999) / 1000);
    case 'n': return milliseconds((value + 999'999) / 1'000'000);
    default: return std::nullopt;
  }
}

}  // namespace lateen::proxy
