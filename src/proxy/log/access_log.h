// Access logs: a format, a filter, and a file all workers append to.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "event/loop.h"
#include "proxy/match/header_matcher.h"
#include "proxy/stream/formatter.h"
#include "proxy/stream/json_format.h"

namespace envoy::config::accesslog::v3 {
class AccessLog;
class AccessLogFilter;
}  // namespace envoy::config::accesslog::v3

namespace lateen::proxy {

// One open file. Lines gather in memory and go out when there are enough, or by the main thread's
// timer. Thread-safe.
class LogFile {
 public:
  static Result<std::shared_ptr<LogFile>> open(const std::string& path);
  ~LogFile();
  void write(std::string_view line);
  void flush();
  void reopen();
  const std::string& path() const { return path_; }

 private:
  explicit LogFile(std::string path) : path_(std::move(path)) {}
  static constexpr std::size_t kFlushBytes = 64 * 1024;
  static constexpr std::size_t kMostBytes = 4 * 1024 * 1024;  // beyond it lines are dropped
  std::string path_;
  std::mutex mutex_;
  std::string pending_;
  int fd_ = -1;
};

// The files that are open, by path. Main thread; kept by the server.
class LogFiles {
 public:
  Result<std::shared_ptr<LogFile>> open(const std::string& path);
  void flush_all();
  void reopen_all();

 private:
  std::map<std::string, std::weak_ptr<LogFile>> files_;
};

using LogFilter = std::function<bool(const StreamInfo&)>;

class AccessLog {
 public:
  static Result<AccessLog> compile(const envoy::config::accesslog::v3::AccessLog& config,
                                   LogFiles& files);
  void log(const StreamInfo& info) const;

 private:
  std::shared_ptr<LogFile> file_;
  LogFilter filter_;
  std::optional<Formatter> text_;
  std::optional<JsonFormat> json_;
};

Result<LogFilter> compile_log_filter(const envoy::config::accesslog::v3::AccessLogFilter& config);

}  // namespace lateen::proxy
