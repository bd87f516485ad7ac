// Log files.
#include "cluster/node/log_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <deque>
#include <thread>

#include "base/strings.h"
#include "linux/files.h"

namespace lateen::cluster::node {
namespace {

std::string rotated_name(const std::string& path, int age) {
  return fmt::format("{}.{}", path, age);
}

struct Line {
  std::string_view stamp;
  bool is_whole = true;
  std::string_view text;
};

std::optional<Line> parse_line(std::string_view raw) {
  const auto stamp = split_once(raw, " ");
  if (!stamp) return std::nullopt;
  const auto stream = split_once(stamp->second, " ");
  if (!stream) return std::nullopt;
  const auto tag = split_once(stream->second, " ");
  if (!tag) return std::nullopt;
  return Line{stamp->first, tag->first == "F", tag->second};
}

// Hands lines to a sink under the request's limits.
class Output {
 public:
  Output(const LogRequest& request, const Function<bool(std::string_view)>& sink)
      : request_(request), sink_(sink) {}

  // False: enough.
  bool take(std::string_view raw) {
    const auto line = parse_line(raw);
    if (!line) return true;
    if (request_.since.has_value()) {
      auto stamp = parse_rfc3339(line->stamp);
      if (stamp.ok() && stamp.value() < *request_.since) return true;
    }
    std::string text;
    if (request_.has_timestamps && !is_inside_line_) text = fmt::format("{} ", line->stamp);
    text += line->text;
    if (line->is_whole) text += '\n';
    is_inside_line_ = !line->is_whole;
    if (request_.limit_bytes.has_value()) {
      const auto left = static_cast<std::size_t>(*request_.limit_bytes) - sent_;
      if (text.size() > left) text.resize(left);
    }
    sent_ += text.size();
    if (!text.empty() && !sink_(text)) return false;
    return !request_.limit_bytes.has_value() ||
           sent_ < static_cast<std::size_t>(*request_.limit_bytes);
  }

 private:
  const LogRequest& request_;
  const Function<bool(std::string_view)>& sink_;
  std::size_t sent_ = 0;
  bool is_inside_line_ = false;
};

// Reads lines of a growing file that may be rotated away under us.
class Follower {
 public:
  explicit Follower(std::string path) : path_(std::move(path)) {}

  // Calls `take` for each complete line there is now; false when it returned false.
  template <typename Take>
  bool read_available(Take take) {
    while (true) {
      if (!fd_.is_open()) {
        auto opened = os::open_file(path_, O_RDONLY);
        if (!opened.ok()) return true;
        fd_ = std::move(opened).value();
      }
      char chunk[65536];
      const ssize_t got = ::read(fd_.get(), chunk, sizeof chunk);
      if (got > 0) {
        partial_.append(chunk, static_cast<std::size_t>(got));
        if (!take_lines(take)) return false;
        continue;
      }
      if (!was_rotated()) return true;
      fd_.close();
    }
  }

 private:
  template <typename Take>
  bool take_lines(Take& take) {
    std::size_t start = 0;
    for (std::size_t end; (end = partial_.find('\n', start)) != std::string::npos; start = end + 1)
      if (!take(std::string_view(partial_).substr(start, end - start))) return false;
    partial_.erase(0, start);
    return true;
  }
  bool was_rotated() const {
    struct stat ours {
    }, named{};
    return ::fstat(fd_.get(), &ours) == 0 && ::stat(path_.c_str(), &named) == 0 &&
           ours.st_ino != named.st_ino;
  }
  std::string path_;
  Fd fd_;
  std::string partial_;
};

}  // namespace

void LogWriter::append(std::string_view stream, std::string_view bytes) {
  std::string& partial = stream == "stdout" ? pending_.stdout_line : pending_.stderr_line;
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end);
    partial += piece;
    while (partial.size() > kMaxLogLineBytes) {
      write_line(stream, std::string_view(partial).substr(0, kMaxLogLineBytes), false);
      partial.erase(0, kMaxLogLineBytes);
    }
    if (end == std::string_view::npos) break;
    write_line(stream, partial, true);
    partial.clear();
    bytes.remove_prefix(end + 1);
  }
  flush();
}

void LogWriter::finish() {
  if (!pending_.stdout_line.empty()) write_line("stdout", pending_.stdout_line, false);
  if (!pending_.stderr_line.empty()) write_line("stderr", pending_.stderr_line, false);
  pending_ = {};
  flush();
}

void LogWriter::write_line(std::string_view stream, std::string_view line, bool is_whole) {
  out_ += fmt::format("{} {} {} {}\n", format_rfc3339(clock_.wall(), 9), stream,
                      is_whole ? 'F' : 'P', line);
}

void LogWriter::flush() {
  if (out_.empty()) return;
  if (!fd_.is_open()) {
    auto opened = os::open_file(path_, O_WRONLY | O_CREAT | O_APPEND, 0640);
    if (!opened.ok()) {
      out_.clear();  // A full or broken disk must not stop the container, nor fill memory.
      return;
    }
    fd_ = std::move(opened).value();
  }
  std::string_view left = out_;
  while (!left.empty()) {
    const ssize_t written = ::write(fd_.get(), left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    left.remove_prefix(static_cast<std::size_t>(written));
  }
  size_ += out_.size();
  out_.clear();
  if (size_ >= kMaxLogBytes) rotate();
}

void LogWriter::rotate() {
  fd_.close();
  size_ = 0;
  for (int age = kMaxLogFiles - 2; age >= 1; --age)
    ::rename(rotated_name(path_, age).c_str(), rotated_name(path_, age + 1).c_str());
  ::rename(path_.c_str(), rotated_name(path_, 1).c_str());
}

Result<> read_log(const std::string& path, const LogRequest& request,
                  const Function<bool(std::string_view)>& sink, const Function<bool()>& should_stop,
                  const Function<bool()>& is_finished) {
  Output output(request, sink);
  const bool is_tail_bounded = request.tail_lines.has_value();
  const auto most =
      static_cast<std::size_t>(std::max<std::int64_t>(request.tail_lines.value_or(0), 0));
  std::deque<std::string> tail;
  bool is_open = true;
  const auto collect = [&](std::string_view line) {
    if (!is_tail_bounded) return is_open = output.take(line);
    tail.emplace_back(line);
    if (tail.size() > most) tail.pop_front();
    return true;
  };
  for (int age = kMaxLogFiles - 1; age >= 1 && is_open; --age)
    Follower(rotated_name(path, age)).read_available(collect);
  Follower current(path);
  if (is_open) current.read_available(collect);
  for (const std::string& line : tail)
    if (is_open) is_open = output.take(line);
  while (is_open && request.is_following && !should_stop()) {
    // Asked first: what was written before it finished is then read below.
    const bool is_last_look = is_finished();
    if (is_last_look)
      std::this_thread::sleep_for(milliseconds(50));  // the pump may still be writing it
    current.read_available([&](std::string_view line) { return is_open = output.take(line); });
    if (is_last_look) break;
    std::this_thread::sleep_for(milliseconds(30));
  }
  return {};
}

std::string log_tail(const std::string& path, std::size_t most_bytes, int most_lines) {
  std::string text;
  LogRequest request;
  request.tail_lines = most_lines;
  (void)read_log(
      path, request,
      [&](std::string_view line) {
        text += line;
        return true;
      },
      [] { return false; }, [] { return true; });
  if (text.size() > most_bytes) text.erase(0, text.size() - most_bytes);
  return text;
}

}  // namespace lateen::cluster::node
