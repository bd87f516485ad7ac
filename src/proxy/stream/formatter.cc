// Parsing of format strings and the commands on requests, responses and times.

#include "proxy/stream/formatter.h"

#include <unistd.h>

#include <cstdlib>
#include <ctime>

#include "base/strings.h"
#include "proxy/match/header_matcher.h"
#include "proxy/route/route.h"
#include "proxy/stream/stream_info.h"

namespace lateen::proxy {
namespace {

using Read = ReadCommand;

FieldValue millis(const std::optional<SteadyTime>& to, SteadyTime from) {
  if (!to) return nullptr;
  return static_cast<std::int64_t>(std::chrono::duration_cast<milliseconds>(*to - from).count());
}

std::optional<std::string_view> request_field(const StreamInfo& info, std::string_view name) {
  if (!info.request) return std::nullopt;
  if (iequals(name, "x-envoy-original-path") && !info.original_path.empty())
    return info.original_path;
  return header_of(*info.request, name);
}

std::optional<std::string_view> response_field(const StreamInfo& info, std::string_view name) {
  if (!info.response_headers) return std::nullopt;
  return info.response_headers->get(name);
}

// "X?Y": the first that is there.
Read header_command(std::string_view argument, bool is_request, bool is_query_cut) {
  const auto both = split_once(argument, "?");
  const std::string first = to_lower(both ? both->first : argument);
  const std::string second = both ? to_lower(both->second) : std::string();
  return [=](const StreamInfo& info) -> FieldValue {
    const auto get = [&](const std::string& name) {
      return is_request ? request_field(info, name) : response_field(info, name);
    };
    auto value = get(first);
    if ((!value || value->empty()) && !second.empty()) value = get(second);
    if (!is_request && !value && (first == ":status" || second == ":status"))
      return info.status == 0 ? FieldValue(nullptr) : FieldValue(std::to_string(info.status));
    if (!value) return nullptr;
    if (is_query_cut) return value->substr(0, value->find('?'));
    return *value;
  };
}

std::string format_time(WallTime time, const std::string& format) {
  if (format.empty()) return format_rfc3339(time, 3);
  const auto since = time.time_since_epoch();
  const auto whole = std::chrono::floor<seconds>(since);
  const long nanos = std::chrono::duration_cast<nanoseconds>(since - whole).count();
  std::string expanded;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] == '%' && i + 1 < format.size()) {
      char digits[24];
      std::snprintf(digits, sizeof digits, "%09ld", nanos);
      int width = 0;
      std::size_t used = 2;
      if (format[i + 1] == 'f') width = 9;
      else if (format[i + 1] >= '1' && format[i + 1] <= '9' && i + 2 < format.size() &&
               format[i + 2] == 'f') {
        width = format[i + 1] - '0';
        used = 3;
      } else if (format[i + 1] == 's') {
        expanded += std::to_string(whole.count());
        i += 1;
        continue;
      }
      if (width > 0) {
        expanded.append(digits, static_cast<std::size_t>(width));
        i += used - 1;
        continue;
      }
    }
    expanded += format[i];
  }
  const std::time_t raw = whole.count();
  std::tm parts{};
  gmtime_r(&raw, &parts);
  char out[256];
  return std::string(out, std::strftime(out, sizeof out, expanded.c_str(), &parts));
}

FieldValue grpc_status(const StreamInfo& info, std::string_view style) {
  static constexpr std::string_view kCamel[] = {
      "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
      "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
      "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
      "DataLoss", "Unauthenticated"};
  if (!info.grpc_status) return nullptr;
  const auto code = parse_int(*info.grpc_status);
  if (!code) return "InvalidCode";
  if (style == "NUMBER" || *code < 0 || *code > 16) return *code;
  if (style == "SNAKE_STRING") return to_string(static_cast<Code>(*code));
  return kCamel[*code];
}

Read time_command(std::string_view name, std::string_view argument) {
  if (name == "START_TIME") {
    return [format = std::string(argument)](const StreamInfo& info) -> FieldValue {
      return format_time(info.started_wall, format);
    };
  }
  if (name == "DURATION")
    return [](const StreamInfo& info) { return millis(info.finished, info.started); };
  if (name == "REQUEST_DURATION")
    return [](const StreamInfo& info) { return millis(info.request_complete, info.started); };
  if (name == "RESPONSE_DURATION")
    return [](const StreamInfo& info) { return millis(info.response_started, info.started); };
  if (name == "RESPONSE_TX_DURATION")
    return [](const StreamInfo& info) -> FieldValue {
      return info.response_started ? millis(info.finished, *info.response_started)
                                   : FieldValue(nullptr);
    };
  return nullptr;
}

Read number_command(std::string_view name) {
  if (name == "RESPONSE_CODE")
    return [](const StreamInfo& info) -> FieldValue { return info.status; };
  if (name == "BYTES_RECEIVED")
    return [](const StreamInfo& info) -> FieldValue { return info.bytes_received; };
  if (name == "BYTES_SENT")
    return [](const StreamInfo& info) -> FieldValue { return info.bytes_sent; };
  if (name == "CONNECTION_ID")
    return [](const StreamInfo& info) -> FieldValue { return info.connection.id; };
  if (name == "UPSTREAM_REQUEST_ATTEMPT_COUNT")
    return [](const StreamInfo& info) -> FieldValue { return info.upstream.attempts; };
  return nullptr;
}

Read text_command(std::string_view name, std::string_view argument) {
  if (name == "PROTOCOL")
    return [](const StreamInfo& info) -> FieldValue {
      return info.request ? FieldValue(http::to_string(info.request->version))
                          : FieldValue(nullptr);
    };
  if (name == "RESPONSE_FLAGS")
    return [](const StreamInfo& info) -> FieldValue { return info.flags.to_string(); };
  if (name == "RESPONSE_FLAGS_LONG")
    return [](const StreamInfo& info) -> FieldValue { return info.flags.to_long_string(); };
  if (name == "RESPONSE_CODE_DETAILS")
    return [](const StreamInfo& info) { return FieldValue::unless_empty(info.details); };
  if (name == "CONNECTION_TERMINATION_DETAILS")
    return [](const StreamInfo& info) {
      return FieldValue::unless_empty(info.connection.termination_details);
    };
  if (name == "ROUTE_NAME")
    return [](const StreamInfo& info) {
      return info.route != nullptr ? FieldValue::unless_empty(info.route->name)
                                   : FieldValue(nullptr);
    };
  if (name == "VIRTUAL_HOST_NAME")
    return [](const StreamInfo& info) {
      return info.virtual_host != nullptr ? FieldValue::unless_empty(info.virtual_host->name)
                                          : FieldValue(nullptr);
    };
  if (name == "VIRTUAL_CLUSTER_NAME")
    return [](const StreamInfo&) -> FieldValue { return nullptr; };
  if (name == "REQUESTED_SERVER_NAME")
    return [](const StreamInfo& info) { return FieldValue::unless_empty(info.connection.sni); };
  if (name == "FILTER_CHAIN_NAME")
    return [](const StreamInfo& info) {
      return FieldValue::unless_empty(info.connection.filter_chain);
    };
  if (name == "STREAM_ID" || name == "UNIQUE_ID")
    return [](const StreamInfo& info) { return FieldValue::unless_empty(info.request_id); };
  if (name == "GRPC_STATUS")
    return [style = std::string(argument)](const StreamInfo& info) {
      return grpc_status(info, style);
    };
  if (name == "GRPC_STATUS_NUMBER")
    return [](const StreamInfo& info) { return grpc_status(info, "NUMBER"); };
  if (name == "HOSTNAME") {
    char host[256] = {};
    gethostname(host, sizeof host - 1);
    return [value = std::string(host)](const StreamInfo&) -> FieldValue {
      return std::string_view(value);
    };
  }
  if (name == "ENVIRONMENT") {
    const char* value = std::getenv(std::string(argument).c_str());
    return [value = std::string(value == nullptr ? "" : value)](const StreamInfo&) {
      return FieldValue::unless_empty(std::string_view(value));
    };
  }
  return nullptr;
}

}  // namespace

Result<Read> compile_command(std::string_view name, std::string_view argument, bool has_argument) {
  if (name == "REQ" || name == "RESP" || name == "TRAILER" || name == "REQ_WITHOUT_QUERY") {
    if (!has_argument)
      return invalid("%" + std::string(name) + "% needs a header name in parentheses",
                     Blame::kConfig);
    if (name == "TRAILER") {
      return Read([key = to_lower(argument)](const StreamInfo& info) -> FieldValue {
        for (const auto& [field, value] : info.response_trailers)
          if (iequals(field, key)) return std::string_view(value);
        return nullptr;
      });
    }
    return header_command(argument, name != "RESP", name == "REQ_WITHOUT_QUERY");
  }
  if (auto read = time_command(name, argument)) return read;
  if (auto read = number_command(name)) return read;
  if (auto read = text_command(name, argument)) return read;
  if (auto read = compile_upstream_command(name, argument)) return read;
  return invalid("Not supported field in format: " + std::string(name), Blame::kConfig);
}

Result<Formatter> Formatter::compile(std::string_view format, bool is_omitting_empty) {
  Formatter made;
  made.is_omitting_empty_ = is_omitting_empty;
  std::string literal;
  const auto flush = [&] {
    if (!literal.empty()) made.parts_.push_back({std::move(literal), nullptr, 0});
    literal.clear();
  };
  for (std::size_t at = 0; at < format.size();) {
    if (format[at] != '%') {
      literal += format[at++];
      continue;
    }
    if (at + 1 < format.size() && format[at + 1] == '%') {
      literal += '%';
      at += 2;
      continue;
    }
    std::size_t end = at + 1;
    while (end < format.size() &&
           (std::isupper(static_cast<unsigned char>(format[end])) != 0 ||
            std::isdigit(static_cast<unsigned char>(format[end])) != 0 || format[end] == '_'))
      ++end;
    const std::string_view name = format.substr(at + 1, end - at - 1);
    std::string_view argument;
    bool has_argument = false;
    if (end < format.size() && format[end] == '(') {
      // The argument of START_TIME holds '%' and ')': the closing one is followed by '%' or ':'.
      std::size_t close = end + 1;
      while (true) {
        close = format.find(')', close);
        if (close == std::string_view::npos)
          return invalid("format '" + std::string(format) + "': no ')' after %" + std::string(name),
                         Blame::kConfig);
        if (close + 1 < format.size() && (format[close + 1] == '%' || format[close + 1] == ':'))
          break;
        ++close;
      }
      argument = format.substr(end + 1, close - end - 1);
      has_argument = true;
      end = close + 1;
    }
    std::size_t most = 0;
    if (end < format.size() && format[end] == ':') {
      const auto stop = format.find('%', end);
      const auto length =
          parse_uint(format.substr(end + 1, stop == std::string_view::npos ? 0 : stop - end - 1));
      if (!length)
        return invalid(
            "format '" + std::string(format) + "': bad length after %" + std::string(name),
            Blame::kConfig);
      most = *length;
      end = stop;
    }
    if (end >= format.size() || format[end] != '%' || name.empty())
      return invalid("format '" + std::string(format) +
                         "': a '%' that starts no command at offset " + std::to_string(at),
                     Blame::kConfig);
    flush();
    made.parts_.push_back({{}, TRY(compile_command(name, argument, has_argument)), most});
    at = end + 1;
  }
  flush();
  return made;
}

std::string Formatter::format(const StreamInfo& info) const {
  std::string out;
  append(info, out);
  return out;
}

void Formatter::append(const StreamInfo& info, std::string& out) const {
  for (const Part& part : parts_) {
    if (!part.read) {
      out += part.literal;
      continue;
    }
    const FieldValue value = part.read(info);
    if (!value.is_missing()) value.append_text(out, part.most_bytes);
    else if (!is_omitting_empty_) out += '-';
  }
}

void Formatter::append_json(const StreamInfo& info, std::string& out) const {
  if (parts_.size() == 1 && parts_[0].read)
    return parts_[0].read(info).append_json(out, parts_[0].most_bytes);
  append_quoted(format(info), out);
}

bool Formatter::is_literal() const {
  for (const Part& part : parts_)
    if (part.read) return false;
  return true;
}

}  // namespace lateen::proxy
