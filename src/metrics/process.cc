// Reads /proc/self/stat, /proc/self/fd and /proc/stat (proc(5)).
#include "metrics/process.h"

#include <dirent.h>
#include <fmt/core.h>
#include <unistd.h>

#include <fstream>
#include <optional>
#include <sstream>

#include "base/strings.h"

namespace lateen::metrics {
namespace {

std::string read_file(const char* path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::optional<int> open_descriptors() {
  DIR* folder = opendir("/proc/self/fd");
  if (folder == nullptr) return std::nullopt;
  int count = 0;
  while (const dirent* entry = readdir(folder)) count += entry->d_name[0] != '.';
  closedir(folder);
  return count - 1;  // without the one that reads the folder
}

std::optional<double> boot_time() {
  const std::string stat = read_file("/proc/stat");
  const std::size_t at = stat.find("btime ");
  if (at == std::string::npos) return std::nullopt;
  const std::string_view rest = std::string_view(stat).substr(at + 6);
  return parse_double(rest.substr(0, rest.find('\n')));
}

void add(std::string& out, std::string_view name, std::string_view type, double value) {
  out += fmt::format("# TYPE {0} {1}\n{0} {2}\n", name, type, value);
}

}  // namespace

bool parse_process_stat(std::string_view stat, long ticks_per_second, long page_bytes,
                        ProcessTimes& out) {
  const std::size_t close = stat.rfind(')');
  if (close == std::string_view::npos || ticks_per_second <= 0) return false;
  std::vector<double> fields;  // from field 3 (state) on
  for (const std::string_view one : split(trim(stat.substr(close + 1)), ' ')) {
    fields.push_back(parse_double(one).value_or(0));
  }
  if (fields.size() < 22) return false;
  out.cpu_seconds = (fields[11] + fields[12]) / static_cast<double>(ticks_per_second);
  out.threads = static_cast<long>(fields[17]);
  out.start_after_boot_seconds = fields[19] / static_cast<double>(ticks_per_second);
  out.virtual_bytes = fields[20];
  out.resident_bytes = fields[21] * static_cast<double>(page_bytes);
  return true;
}

std::string process_metrics() {
  std::string out;
  ProcessTimes times;
  if (parse_process_stat(read_file("/proc/self/stat"), sysconf(_SC_CLK_TCK), sysconf(_SC_PAGESIZE),
                         times)) {
    add(out, "process_cpu_seconds_total", "counter", times.cpu_seconds);
    add(out, "process_resident_memory_bytes", "gauge", times.resident_bytes);
    add(out, "process_virtual_memory_bytes", "gauge", times.virtual_bytes);
    add(out, "process_threads", "gauge", static_cast<double>(times.threads));
    if (const auto boot = boot_time()) {
      add(out, "process_start_time_seconds", "gauge", *boot + times.start_after_boot_seconds);
    }
  }
  if (const auto open = open_descriptors()) add(out, "process_open_fds", "gauge", *open);
  return out;
}

}  // namespace lateen::metrics
