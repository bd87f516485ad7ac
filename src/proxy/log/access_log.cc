// File access logs in text and JSON; loggers that send to a service are in service_log.cc.

#include "proxy/log/access_log.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "envoy/config/accesslog/v3/accesslog.pb.h"
#include "envoy/config/core/v3/substitution_format_string.pb.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "proxy/api/field_check.h"
#include "proxy/log/service_log.h"
#include "proxy/stream/stream_info.h"
#include "xds/any.h"
#include "xds/convert.h"
#include "xds/json.h"

namespace lateen::proxy {
namespace {

namespace accesslog = envoy::config::accesslog::v3;

// Envoy's default line.
constexpr std::string_view kDefaultFormat =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" "
    "%RESPONSE_CODE% "
    "%RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "
    "\"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" "
    "\"%REQ(:AUTHORITY)%\" "
    "\"%UPSTREAM_HOST%\"\n";

}  // namespace

Result<std::shared_ptr<LogFile>> LogFile::open(const std::string& path) {
  std::shared_ptr<LogFile> made(new LogFile(path));
  made->fd_ = path == "/dev/stdout" ? dup(STDOUT_FILENO)
              : path == "/dev/stderr"
                  ? dup(STDERR_FILENO)
                  : ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (made->fd_ < 0) return errno_error("opening access log " + path, errno);
  return made;
}

LogFile::~LogFile() {
  flush();
  if (fd_ >= 0) close(fd_);
}

void LogFile::write(std::string_view line) {
  bool is_full;
  {
    const std::lock_guard lock(mutex_);
    if (pending_.size() + line.size() > kMostBytes) return;
    pending_ += line;
    is_full = pending_.size() >= kFlushBytes;
  }
  if (is_full) flush();
}

void LogFile::flush() {
  const std::lock_guard lock(mutex_);
  std::string_view rest = pending_;
  while (!rest.empty() && fd_ >= 0) {
    const ssize_t wrote = ::write(fd_, rest.data(), rest.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) break;
    rest.remove_prefix(static_cast<std::size_t>(wrote));
  }
  pending_.clear();
}

void LogFile::reopen() {
  flush();
  if (path_.starts_with("/dev/std")) return;
  const int fresh = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fresh < 0) return;
  const std::lock_guard lock(mutex_);
  close(fd_);
  fd_ = fresh;
}

Result<std::shared_ptr<LogFile>> LogFiles::open(const std::string& path) {
  if (auto held = files_[path].lock()) return held;
  auto made = TRY(LogFile::open(path));
  files_[path] = made;
  return made;
}

void LogFiles::flush_all() {
  for (auto& [path, file] : files_)
    if (auto held = file.lock()) held->flush();
}

void LogFiles::reopen_all() {
  for (auto& [path, file] : files_)
    if (auto held = file.lock()) held->reopen();
}

namespace {

// Lines are written as text at once: a tree of values made for each request and then printed costs
// three times as much.
void append_quoted(std::string_view text, std::string& out) {
  out += '"';
  std::size_t copied = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, copied, i - copied);
    copied = i + 1;
    out += '\\';
    switch (c) {
      case '"':
      case '\\': out += static_cast<char>(c); break;
      case '\b': out += 'b'; break;
      case '\f': out += 'f'; break;
      case '\n': out += 'n'; break;
      case '\r': out += 'r'; break;
      case '\t': out += 't'; break;
      default:
        out += "u00";
        out += "0123456789abcdef"[c >> 4];
        out += "0123456789abcdef"[c & 15];
    }
  }
  out.append(text, copied);
  out += '"';
}

void append_json(const data::Json& value, std::string& out) {
  if (value.is_null()) {
    out += "null";
  } else if (const auto* text = value.if_string()) {
    append_quoted(*text, out);
  } else if (const auto* number = value.if_int64()) {
    char digits[24];
    out.append(digits, std::to_chars(digits, std::end(digits), *number).ptr);
  } else {
    out += data::dump_json(value);
  }
}

}  // namespace

Result<AccessLog::JsonNode> AccessLog::compile_node(const data::Json& from,
                                                    bool is_omitting_empty) {
  JsonNode made;
  if (const auto* object = from.if_object()) {
    for (const auto& [name, value] : *object)
      made.fields.emplace_back(std::string(name), TRY(compile_node(value, is_omitting_empty)));
  } else if (const auto* array = from.if_array()) {
    made.is_list = true;
    for (const auto& value : *array)
      made.items.push_back(TRY(compile_node(value, is_omitting_empty)));
  } else if (from.is_string()) {
    made.format = TRY(Formatter::compile(data::as_string(from), is_omitting_empty));
  } else {
    made.constant = from;
  }
  return made;
}

data::Json AccessLog::render(const JsonNode& node, const StreamInfo& info, bool is_omitting_empty) {
  if (node.format) return node.format->format_json(info);
  if (node.constant) return *node.constant;
  if (node.is_list) {
    data::JsonArray array;
    for (const auto& item : node.items) array.push_back(render(item, info, is_omitting_empty));
    return array;
  }
  data::JsonObject object;
  for (const auto& [name, field] : node.fields) {
    data::Json value = render(field, info, is_omitting_empty);
    if (is_omitting_empty && value.is_null()) continue;
    object[name] = std::move(value);
  }
  return object;
}

Result<AccessLog> AccessLog::compile(const accesslog::AccessLog& config, LogFiles& files) {
  using Format = envoy::config::core::v3::SubstitutionFormatString;
  AccessLog made;
  if (config.has_filter()) made.filter_ = TRY(compile_log_filter(config.filter()));
  const std::string type = xds::carried_type(config.typed_config());
  TRY(check_fields(config.typed_config()).at("access logger " + config.name()));
  Format format;
  std::string path;
  if (type.ends_with("file.v3.FileAccessLog")) {
    const auto file = TRY(xds::unpack<envoy::extensions::access_loggers::file::v3::FileAccessLog>(
        config.typed_config()));
    path = file.path();
    if (file.has_log_format()) format = file.log_format();
    if (!file.format().empty())
      format.mutable_text_format_source()->set_inline_string(file.format());
    if (file.has_json_format()) *format.mutable_json_format() = file.json_format();
    if (file.has_typed_json_format()) *format.mutable_json_format() = file.typed_json_format();
  } else if (type.ends_with("stream.v3.StdoutAccessLog")) {
    path = "/dev/stdout";
  } else if (type.ends_with("stream.v3.StderrAccessLog")) {
    path = "/dev/stderr";
  } else {
    const auto service = TRY(ServiceLog::compile(type, config.typed_config()));
    if (service == nullptr)
      return invalid("access logger '" + config.name() + "' of type " + type + " is not supported",
                     Blame::kConfig);
    // What passes the filter is the service's, and no line is written.
    made.filter_ = [filter = std::move(made.filter_), service](const StreamInfo& info) {
      if (!filter || filter(info)) service->log(info);
      return false;
    };
    return made;
  }
  made.is_omitting_empty_ = format.omit_empty_values();
  if (format.has_json_format()) {
    made.json_ =
        TRY(compile_node(xds::struct_to_json(format.json_format()), made.is_omitting_empty_));
  } else {
    std::string text(kDefaultFormat);
    if (format.has_text_format_source()) text = TRY(xds::read_data(format.text_format_source()));
    if (!format.text_format().empty()) text = format.text_format();
    made.text_ = TRY(Formatter::compile(text, made.is_omitting_empty_));
  }
  made.file_ = TRY(files.open(path));
  return made;
}

void AccessLog::log(const StreamInfo& info) const {
  if (filter_ && !filter_(info)) return;
  if (text_) return file_->write(text_->format(info));
  // Objects and their commands as text; lists are rare.
  struct Writer {
    void write(const JsonNode& node) {
      if (node.format) return append_json(node.format->format_json(info), line);
      if (node.constant || node.is_list)
        return append_json(render(node, info, is_omitting_empty), line);
      bool is_first = true;
      line += '{';
      for (const auto& [name, field] : node.fields) {
        const std::size_t before = line.size();
        if (!is_first) line += ',';
        append_quoted(name, line);
        line += ':';
        const std::size_t begin = line.size();
        write(field);
        if (is_omitting_empty && std::string_view(line).substr(begin) == "null")
          line.resize(before);
        else is_first = false;
      }
      line += '}';
    }
    const StreamInfo& info;
    const bool is_omitting_empty;
    std::string line;
  };
  Writer writer{info, is_omitting_empty_, {}};
  writer.line.reserve(1024);
  writer.write(*json_);
  writer.line += '\n';
  file_->write(writer.line);
}

}  // namespace lateen::proxy
