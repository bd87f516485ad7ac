// The commands that came to Envoy's access log later than the rest.

#include "proxy/stream/formatter_more.h"

#include "base/strings.h"
#include "proxy/cluster/cluster.h"
#include "proxy/stream/failure.h"
#include "proxy/stream/stream_info.h"

namespace lateen::proxy {
namespace {

std::uint64_t bytes_of(const http::Headers& headers) {
  std::uint64_t bytes = 0;
  for (const auto& field : headers) bytes += field.name.size() + field.value.size();
  return bytes;
}

// PATH(WITH_QUERY|NO_QUERY:ORIG|PATH|ORIG_OR_PATH).
ReadCommand path_command(std::string_view argument) {
  const auto both = split_once(argument, ":");
  const std::string query(both ? both->first : argument);
  const std::string which(both ? both->second : "ORIG_OR_PATH");
  if (!query.empty() && query != "WQ" && query != "NQ" && query != "WITH_QUERY" &&
      query != "NO_QUERY")
    return nullptr;
  if (which != "ORIG" && which != "PATH" && which != "ORIG_OR_PATH") return nullptr;
  const bool is_cut = query == "NQ" || query == "NO_QUERY";
  return [is_cut, which](const StreamInfo& info) -> FieldValue {
    std::string_view path = which == "PATH" ? std::string_view() : info.original_path;
    if (path.empty() && which != "ORIG" && info.request) path = info.request->path;
    if (path.empty()) return nullptr;
    return is_cut ? path.substr(0, path.find('?')) : path;
  };
}

std::vector<std::pair<std::string, std::string>> query_of(const StreamInfo& info) {
  if (!info.request) return {};
  const auto mark = info.request->path.find('?');
  if (mark == std::string_view::npos) return {};
  return parse_query(info.request->path.substr(mark + 1));
}

ReadCommand query_command(std::string_view name, std::string_view argument) {
  if (name == "QUERY_PARAM" && !argument.empty())
    return [key = std::string(argument)](const StreamInfo& info) -> FieldValue {
      for (const auto& [field, value] : query_of(info))
        if (field == key) return std::string(value);
      return nullptr;
    };
  if (name == "QUERY_PARAMS")
    return [](const StreamInfo& info) -> FieldValue {
      if (!info.request) return nullptr;
      const auto mark = info.request->path.find('?');
      if (mark == std::string_view::npos) return nullptr;
      return info.request->path.substr(mark + 1);
    };
  return nullptr;
}

// A named point in the life of a stream; nullopt: not reached.
using Point = std::optional<SteadyTime> (*)(const StreamInfo&);
Point point_of(std::string_view name) {
  if (name == "DS_RX_BEG") return [](const StreamInfo& i) { return std::optional(i.started); };
  if (name == "DS_RX_END") return [](const StreamInfo& i) { return i.request_complete; };
  if (name == "US_TX_BEG") return [](const StreamInfo& i) { return i.upstream_first_byte_sent; };
  if (name == "US_RX_BEG" || name == "DS_TX_BEG")
    return [](const StreamInfo& i) { return i.response_started; };
  if (name == "DS_TX_END") return [](const StreamInfo& i) { return i.finished; };
  return nullptr;
}

// COMMON_DURATION(start:end:ms|us|ns).
ReadCommand duration_command(std::string_view argument) {
  const auto parts = split(argument, ':');
  if (parts.size() != 3) return nullptr;
  const Point from = point_of(parts[0]), to = point_of(parts[1]);
  const std::int64_t unit = parts[2] == "ms"   ? 1'000'000
                            : parts[2] == "us" ? 1'000
                            : parts[2] == "ns" ? 1
                                               : 0;
  if (from == nullptr || to == nullptr || unit == 0) return nullptr;
  return [from, to, unit](const StreamInfo& info) -> FieldValue {
    const auto begin = from(info), end = to(info);
    if (!begin || !end || *end < *begin) return nullptr;
    return std::chrono::duration_cast<nanoseconds>(*end - *begin).count() / unit;
  };
}

ReadCommand bytes_command(std::string_view name) {
  if (name == "REQUEST_HEADERS_BYTES")
    return [](const StreamInfo& info) -> FieldValue {
      return info.request ? bytes_of(info.request->headers) + info.request->path.size() +
                                info.request->method.size() + info.request->authority.size() +
                                info.request->scheme.size() + 29  // names of the pseudo headers
                          : 0;
    };
  if (name == "RESPONSE_HEADERS_BYTES")
    return [](const StreamInfo& info) -> FieldValue {
      return info.response_headers ? bytes_of(*info.response_headers) + 10 : 0;
    };
  if (name == "RESPONSE_TRAILERS_BYTES")
    return [](const StreamInfo& info) -> FieldValue {
      std::uint64_t bytes = 0;
      for (const auto& [key, value] : info.response_trailers) bytes += key.size() + value.size();
      return bytes;
    };
  return nullptr;
}

ReadCommand text_command(std::string_view name, std::string_view argument) {
  if (name == "UPSTREAM_HOST_NAME" || name == "UPSTREAM_HOST_NAME_WITHOUT_PORT")
    return [is_bare = name.ends_with("PORT")](const StreamInfo& info) -> FieldValue {
      if (info.upstream.host == nullptr) return nullptr;
      const std::string& name = info.upstream.host->hostname;
      if (!name.empty()) return std::string_view(name);
      const net::Address& at = info.upstream.address;
      return is_bare && !at.is_unix() ? at.ip().to_string() : at.to_string();
    };
  if (name == "LOCAL_REPLY_BODY")
    return [](const StreamInfo& info) -> FieldValue { return std::string_view(info.local_body); };
  if (name == "FAILURE")
    return [key = std::string(argument)](const StreamInfo& info) -> FieldValue {
      if (info.failure == nullptr) return nullptr;
      if (key.empty()) return info.failure->object + ": " + info.failure->reason;
      if (key == "json") return data::Json(info.failure->to_json());
      const auto all = info.failure->to_json();
      const auto* value = all.if_contains(key);
      return value == nullptr ? FieldValue(nullptr) : FieldValue(data::Json(*value));
    };
  if (name == "ACCESS_LOG_TYPE")
    return [](const StreamInfo& info) -> FieldValue {
      return info.is_http ? "DownstreamEnd" : "TcpConnectionEnd";
    };
  return nullptr;
}

}  // namespace

ReadCommand compile_more_command(std::string_view name, std::string_view argument) {
  if (name == "PATH") return path_command(argument);
  if (name == "COMMON_DURATION") return duration_command(argument);
  if (auto read = query_command(name, argument)) return read;
  if (auto read = bytes_command(name)) return read;
  return text_command(name, argument);
}

}  // namespace lateen::proxy
