// What `lateen up` checks and binds before it starts anything: data directory, disk, kubeconfig,
// ports. Each refusal is one sentence that says what to do.
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/strings.h"
#include "bin/up.h"
#include "linux/files.h"
#include "linux/namespaces.h"
#include "linux/ports.h"

namespace lateen::bin {
namespace {

constexpr std::uint64_t kLeastFreeBytes = 64u << 20;

Error full_disk(const std::string& data_dir) {
  return Error(Code::kResourceExhausted,
               fmt::format("the disk of {} is full: less than {} MB are free; make room or choose "
                           "another --data-dir",
                           data_dir, kLeastFreeBytes >> 20));
}

bool has_room(const std::string& path) {
  struct statvfs room {};
  return ::statvfs(path.c_str(), &room) != 0 ||
         static_cast<std::uint64_t>(room.f_bavail) * room.f_frsize >= kLeastFreeBytes;
}

}  // namespace

Error cannot_write(const std::string& data_dir, const Error& why) {
  if (os::is_directory(data_dir) && !has_room(data_dir)) return full_disk(data_dir);
  return Error(why.code(),
               fmt::format("the data directory {} cannot be written ({}): choose another with "
                           "--data-dir",
                           data_dir, why.message()));
}

Result<> check_format(const std::string& data_dir) {
  auto text = os::read_file(data_dir + "/format", 64);
  if (!text.ok()) return {};
  const auto format = parse_int(trim(text.value()));
  if (format.has_value() && *format <= kDataFormat) return {};
  return Error(Code::kFailedPrecondition,
               fmt::format("{} was written by a newer Lateen (format {}, this one knows {}): use "
                           "that version, or another --data-dir",
                           data_dir, trim(text.value()), kDataFormat));
}

Result<> prepare_data_dir(const std::string& data_dir) {
  const std::string probe = data_dir + "/run/.probe";
  const auto usable = os::write_file(probe, "x");
  ::unlink(probe.c_str());
  if (!usable.ok()) return cannot_write(data_dir, usable.error());
  if (!has_room(data_dir)) return full_disk(data_dir);
  return os::write_file_atomic(data_dir + "/format", std::to_string(kDataFormat) + "\n");
}

Result<> remove_data(const std::string& path) {
  if (os::remove_tree(path).ok()) return {};
  return os::run_in_namespaces(0, [&] { return os::remove_tree(path); });
}

namespace {

// One of the two well-known ports: where it is asked for, else at the fallback, said in a sentence.
Result<> reserve_port(HostSockets& sockets, int port, int wanted, bool is_given, int fallback) {
  auto bound = os::reserve_loopback_port(wanted);
  int host_port = wanted;
  const std::string flag = port == 80 ? "--http-port" : "--https-port";
  if (!bound.ok()) {
    if (is_given)
      return Error(bound.error().code(), fmt::format("LoadBalancer {}: choose another with {}",
                                                     bound.error().message(), flag));
    std::printf("Port %d cannot be had on this machine (%s): it is served at %d instead.\n", port,
                bound.error().message().c_str(), fallback);
    host_port = fallback;
    bound = os::reserve_loopback_port(fallback);
    if (!bound.ok())
      return Error(bound.error().code(),
                   fmt::format("{}; choose one with {}", bound.error().message(), flag));
  }
  sockets.reserved.emplace_back(PortMapping{port, host_port}, std::move(bound).value());
  return {};
}

}  // namespace

Result<HostSockets> bind_host_sockets(const UpOptions& options) {
  HostSockets sockets;
  auto api = os::reserve_loopback_port(options.api_port);
  if (!api.ok())
    return Error(
        api.error().code(),
        fmt::format("the API server's {}: choose another with --api-port", api.error().message()));
  sockets.api = std::move(api).value();
  TRY(os::start_listening(sockets.api.get()));
  TRY(reserve_port(sockets, 80, options.http_port, options.is_http_port_given, 8080));
  TRY(reserve_port(sockets, 443, options.https_port, options.is_https_port_given, 8443));
  return sockets;
}

}  // namespace lateen::bin
