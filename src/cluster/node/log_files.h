// Container logs on disk, in CRI's format ("2026-01-02T03:04:05.000000006Z stdout F text"), rotated
// by size, and read back for `kubectl logs`.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/function.h"
#include "cluster/node/streams.h"
#include "linux/fd.h"

namespace lateen::cluster::node {

inline constexpr std::size_t kMaxLogBytes = 10u << 20;  // as kubelet's containerLogMaxSize
inline constexpr int kMaxLogFiles = 5;                  // as containerLogMaxFiles
inline constexpr std::size_t kMaxLogLineBytes =
    16384;  // longer lines are split (tag P), as containerd does

// Appends one container's output. Not thread-safe.
class LogWriter {
 public:
  LogWriter(std::string path, const Clock& clock) : path_(std::move(path)), clock_(clock) {}
  // `stream` is "stdout" or "stderr"; bytes may end anywhere.
  void append(std::string_view stream, std::string_view bytes);
  // Writes out a last line that has no newline.
  void finish();

 private:
  struct Pending {
    std::string stdout_line;
    std::string stderr_line;
  };
  void write_line(std::string_view stream, std::string_view line, bool is_whole);
  void flush();
  void rotate();
  std::string path_;
  const Clock& clock_;
  Fd fd_;
  std::size_t size_ = 0;
  std::string out_;
  Pending pending_;
};

// Reads `path` with its rotated predecessors. `is_finished` says that the container will write no
// more; it is asked before each last look while following. Blocks while following; see
// PodStreams::logs for the rest.
Result<> read_log(const std::string& path, const LogRequest& request,
                  const Function<bool(std::string_view)>& sink, const Function<bool()>& should_stop,
                  const Function<bool()>& is_finished);
// The last lines, at most `most_bytes` and `most_lines`: the message of a failed container.
std::string log_tail(const std::string& path, std::size_t most_bytes, int most_lines);

}  // namespace lateen::cluster::node
