// `lateen status`: what runs, seen from outside. Everything is read from /proc and from two small
// files that the cluster keeps; nothing is asked of a process that may hang.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <vector>

#include "base/strings.h"
#include "bin/commands.h"
#include "bin/up.h"
#include "data/json.h"
#include "linux/files.h"
#include "linux/pid_file.h"

namespace lateen::bin {
namespace {

using data::Json;
using data::JsonArray;
using data::JsonObject;

struct Process {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t inner_pid = 0;  // in the cluster's PID namespace; 0 outside of it
  std::int64_t rss_kib = 0;
  std::string state;
  std::string name;
};

std::optional<Process> read_process(pid_t pid) {
  auto text = os::read_file(fmt::format("/proc/{}/status", pid), 65536);
  if (!text.ok()) return std::nullopt;
  Process process;
  process.pid = pid;
  for (std::string_view line : split(text.value(), '\n')) {
    const auto field = split_once(line, ":");
    if (!field) continue;
    const std::string_view value = trim(field->second);
    if (field->first == "Name") process.name = value;
    if (field->first == "State") process.state = value;
    if (field->first == "PPid") process.parent = static_cast<pid_t>(parse_int(value).value_or(0));
    if (field->first == "VmRSS") process.rss_kib = parse_int(split(value, ' ')[0]).value_or(0);
    if (field->first == "NSpid") {
      const auto ids = split(value, '\t');
      if (ids.size() >= 2) process.inner_pid = static_cast<pid_t>(parse_int(ids[1]).value_or(0));
    }
  }
  return process;
}

// All descendants of `roots`, with themselves.
std::vector<Process> family_of(const std::set<pid_t>& roots) {
  std::map<pid_t, Process> all;
  for (const std::string& name : os::list_directory("/proc"))
    if (const auto pid = parse_int(name))
      if (auto process = read_process(static_cast<pid_t>(*pid))) all[process->pid] = *process;
  std::vector<Process> family;
  for (const auto& [pid, process] : all) {
    pid_t at = pid;
    for (int depth = 0; depth < 64 && at > 1 && !roots.contains(at); ++depth) {
      const auto found = all.find(at);
      at = found == all.end() ? 0 : found->second.parent;
    }
    if (roots.contains(at)) family.push_back(process);
  }
  return family;
}

Json read_json(const std::string& path) {
  auto text = os::read_file(path, 8u << 20);
  if (!text.ok()) return JsonObject{};
  auto json = data::parse_json(text.value());
  return json.ok() ? std::move(json).value() : Json(JsonObject{});
}

JsonObject part(std::string_view kind, std::string_view name, const Process* process) {
  JsonObject row{
      {"part", kind}, {"name", name}, {"state", process == nullptr ? "stopped" : "running"}};
  if (process != nullptr) {
    row["pid"] = process->pid;
    row["rssKiB"] = process->rss_kib;
  }
  return row;
}

Json collect(const UpOptions& options, pid_t supervisor) {
  Json status = read_json(state_path(options.data_dir));
  // Supervisor and guard start each other, and init outlives both: they need not be of one tree. A
  // number of somebody else's is told by the lock that all three have open.
  std::set<pid_t> roots{supervisor};
  for (const char* one : {"guard", "init"})
    if (const auto pid = static_cast<pid_t>(data::get_int(status, {one}));
        pid > 0 && os::PidFile::has_open(pid, pid_path(options.data_dir)))
      roots.insert(pid);
  const auto family = family_of(roots);
  const auto find = [&](const auto& holds) -> const Process* {
    const auto found = std::find_if(family.begin(), family.end(), holds);
    return found == family.end() ? nullptr : &*found;
  };
  const Process* init =
      find([&](const Process& p) { return p.inner_pid == 1 && p.name == "lateen-init"; });
  const Process* cluster = find([&](const Process& p) {
    return init != nullptr && p.parent == init->pid && p.name == "lateen";
  });
  JsonArray parts{
      part("supervisor", "lateen-up", find([&](const Process& p) { return p.pid == supervisor; })),
      part("guard", "lateen-guard",
           find([&](const Process& p) { return p.name == "lateen-guard"; })),
      part("init", "lateen-init", init), part("cluster", "lateen cluster", cluster)};
  std::int64_t total = 0;
  for (const Process& process : family) total += process.rss_kib;
  const Json table = read_json(options.data_dir + "/run/containers.json");
  for (const Json& row : data::get_array(table, {"containers"})) {
    const auto inner = data::get_int(row, {"pid"});
    const Process* process =
        find([&](const Process& p) { return p.inner_pid == inner && inner > 1; });
    JsonObject entry =
        part("container",
             fmt::format("{}/{}/{}", data::get_string(row, {"namespace"}),
                         data::get_string(row, {"pod"}), data::get_string(row, {"container"})),
             process);
    for (const char* field : {"namespace", "pod", "container"})
      entry[field] = data::get_string(row, {field});
    parts.push_back(std::move(entry));
  }
  data::set(status, {"running"}, Json(true));
  data::set(status, {"dataDir"}, Json(std::string_view(options.data_dir)));
  data::set(status, {"log"}, Json(std::string_view(log_path(options.data_dir))));
  data::set(status, {"totalRssKiB"}, Json(total));
  data::set(status, {"parts"}, parts);
  return status;
}

void print_text(const Json& status) {
  std::printf("%-11s %-60s %-8s %8s %10s\n", "PART", "NAME", "STATE", "PID", "RSS");
  for (const Json& row : data::get_array(status, {"parts"}))
    std::printf("%-11s %-60s %-8s %8lld %7.1f MB\n",
                std::string(data::get_string(row, {"part"})).c_str(),
                std::string(data::get_string(row, {"name"})).c_str(),
                std::string(data::get_string(row, {"state"})).c_str(),
                static_cast<long long>(data::get_int(row, {"pid"})),
                static_cast<double>(data::get_int(row, {"rssKiB"})) / 1024.0);
  for (const Json& port : data::get_array(status, {"ports"}))
    std::printf("LoadBalancer port %lld: localhost:%lld\n",
                static_cast<long long>(data::get_int(port, {"port"})),
                static_cast<long long>(data::get_int(port, {"hostPort"})));
  std::printf("total %.1f MB; data in %s\n",
              static_cast<double>(data::get_int(status, {"totalRssKiB"})) / 1024.0,
              std::string(data::get_string(status, {"dataDir"})).c_str());
}

int status_command(int argc, char** argv) {
  const auto options = parse_up_options("status", argc, argv);
  if (!options.ok()) {
    std::fprintf(stderr, "lateen status: %s\nusage: lateen status --help\n",
                 options.error().message().c_str());
    return 2;
  }
  const auto pid = os::PidFile::holder(pid_path(options->data_dir));
  if (!pid.has_value()) {
    if (options->is_json)
      std::printf("%s\n", data::dump_json_pretty(
                              JsonObject{{"running", false}, {"dataDir", options->data_dir}})
                              .c_str());
    else std::printf("Lateen does not run with data in %s.\n", options->data_dir.c_str());
    return 1;
  }
  const Json status = collect(*options, *pid);
  if (options->is_json) std::printf("%s\n", data::dump_json_pretty(status).c_str());
  else print_text(status);
  return 0;
}

}  // namespace
}  // namespace lateen::bin

int run_status(int argc, char** argv) { return lateen::bin::status_command(argc, argv); }
