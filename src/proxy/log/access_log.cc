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
  const bool is_omitting_empty = format.omit_empty_values();
  if (format.has_json_format()) {
    made.json_ =
        TRY(JsonFormat::compile(xds::struct_to_json(format.json_format()), is_omitting_empty));
  } else {
    std::string text(kDefaultFormat);
    if (format.has_text_format_source()) text = TRY(xds::read_data(format.text_format_source()));
    if (!format.text_format().empty()) text = format.text_format();
    made.text_ = TRY(Formatter::compile(text, is_omitting_empty));
  }
  made.file_ = TRY(files.open(path));
  return made;
}

void AccessLog::log(const StreamInfo& info) const {
  if (filter_ && !filter_(info)) return;
  if (text_) return file_->write(text_->format(info));
  std::string line;
  line.reserve(1024);
  json_->append(info, line);
  line += '\n';
  file_->write(line);
}

}  // namespace lateen::proxy
