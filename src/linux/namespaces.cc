// Namespaces.
#include "linux/namespaces.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/sched.h>
#include <pwd.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "base/strings.h"
#include "linux/files.h"
#include "linux/links.h"
#include "linux/nft.h"

namespace lateen::os {
namespace {

constexpr std::uint32_t kMostIds = 65536;

// The first range of this user in /etc/subuid or /etc/subgid.
std::vector<IdRange> subordinate_ranges(const std::string& path, std::string_view user) {
  auto text = read_file(path, 1u << 20);
  if (!text.ok()) return {};
  const std::string own_id = std::to_string(::geteuid());
  for (std::string_view line : split(text.value(), '\n')) {
    const auto fields = split(line, ':');
    if (fields.size() != 3 || (fields[0] != user && fields[0] != own_id)) continue;
    const auto first = parse_uint(fields[1]);
    const auto count = parse_uint(fields[2]);
    if (!first || !count || *count < 2048 || *first > 0xffff0000u) continue;
    return {{1, static_cast<std::uint32_t>(*first),
             static_cast<std::uint32_t>(std::min<std::uint64_t>(*count, kMostIds - 1))}};
  }
  return {};
}

// The ids that exist in our own namespace, mapped to themselves.
std::vector<IdRange> identity_ranges(const std::string& path) {
  std::vector<IdRange> ranges;
  auto text = read_file(path, 1u << 16);
  if (!text.ok()) return ranges;
  for (std::string_view line : split(text.value(), '\n')) {
    std::vector<std::uint64_t> numbers;
    for (std::string_view word : split(line, ' '))
      if (const auto number = parse_uint(word)) numbers.push_back(*number);
    if (numbers.size() != 3) continue;
    const auto first = static_cast<std::uint32_t>(numbers[0]);
    ranges.push_back({first, first, static_cast<std::uint32_t>(numbers[2])});
  }
  return ranges;
}

std::string map_text(const std::vector<IdRange>& ranges) {
  std::string text;
  for (const IdRange& range : ranges)
    text += fmt::format("{} {} {}\n", range.inside, range.outside, range.count);
  return text;
}

IdMaps single_maps() {
  return {IdMaps::Kind::kSingle, {{0, ::geteuid(), 1}}, {{0, ::getegid(), 1}}};
}

bool run_id_helper(const std::string& program, pid_t pid, const std::vector<IdRange>& ranges) {
  SpawnPlan plan;
  plan.programs = program_candidates(program, "/usr/bin:/bin:/usr/sbin:/usr/local/bin");
  plan.arguments = {program, std::to_string(pid)};
  for (const IdRange& range : ranges)
    for (std::uint32_t number : {range.inside, range.outside, range.count})
      plan.arguments.push_back(std::to_string(number));
  auto child = spawn(plan);
  if (!child.ok()) return false;
  auto status = child->wait();
  return status.ok() && status->code == 0;
}

}  // namespace

IdMaps choose_id_maps() {
  if (::geteuid() == 0)
    return {IdMaps::Kind::kIdentity, identity_ranges("/proc/self/uid_map"),
            identity_ranges("/proc/self/gid_map")};
  const passwd* user = ::getpwuid(::geteuid());
  const std::string name = user == nullptr ? "" : user->pw_name;
  IdMaps maps = single_maps();
  const auto uids = subordinate_ranges("/etc/subuid", name);
  const auto gids = subordinate_ranges("/etc/subgid", name);
  if (uids.empty() || gids.empty()) return maps;
  maps.kind = IdMaps::Kind::kSubordinate;
  maps.uids.insert(maps.uids.end(), uids.begin(), uids.end());
  maps.gids.insert(maps.gids.end(), gids.begin(), gids.end());
  return maps;
}

Result<> write_id_maps(pid_t pid, IdMaps& maps) {
  const std::string process = fmt::format("/proc/{}/", pid);
  if (maps.kind == IdMaps::Kind::kSubordinate) {
    if (run_id_helper("newuidmap", pid, maps.uids) && run_id_helper("newgidmap", pid, maps.gids))
      return {};
    maps = single_maps();
  }
  if (maps.kind == IdMaps::Kind::kSingle) TRY(write_file(process + "setgroups", "deny"));
  TRY(write_file(process + "uid_map", map_text(maps.uids)));
  return write_file(process + "gid_map", map_text(maps.gids));
}

Result<pid_t> fork_into(std::uint64_t namespaces, Fd& pidfd) {
  int fd = -1;
  clone_args arguments{};
  arguments.flags = namespaces | CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&fd);
  arguments.exit_signal = SIGCHLD;
  const long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid < 0) return errno_error("making namespaces", errno);
  if (pid > 0) pidfd = Fd(fd);
  return static_cast<pid_t>(pid);
}

Result<> run_in_namespaces(std::uint64_t namespaces, const Function<Result<>()>& body) {
  FdPair go = TRY(make_pipe());
  FdPair answer = TRY(make_pipe());
  Fd pidfd;
  const pid_t pid = TRY(fork_into(namespaces | CLONE_NEWUSER, pidfd));
  if (pid == 0) {
    go.second.close();
    char byte;
    if (::read(go.first.get(), &byte, 1) != 1) ::_exit(1);
    const auto result = body();
    const std::string text =
        result.ok() ? std::string(1, '\0')
                    : static_cast<char>(result.error().code()) + result.error().message();
    (void)!::write(answer.second.get(), text.data(), text.size());
    ::_exit(0);
  }
  answer.second.close();
  IdMaps maps = choose_id_maps();
  auto mapped = write_id_maps(pid, maps);
  if (mapped.ok()) (void)!::write(go.second.get(), "g", 1);
  go.second.close();
  std::string text(4096, '\0');
  const ssize_t got = ::read(answer.first.get(), text.data(), text.size());
  ::waitpid(pid, nullptr, 0);
  TRY(std::move(mapped));
  if (got <= 0) return internal("a process in namespaces of its own ended without an answer");
  if (got == 1 && text[0] == '\0') return {};
  text.resize(static_cast<std::size_t>(got));
  return Error(static_cast<Code>(text[0]), text.substr(1));
}

namespace {

Result<> try_veth() {
  auto links = TRY(Netlink::open());
  const Fd netns = TRY(open_file("/proc/self/ns/net", O_RDONLY));
  return links.add_veth("lateen0", {2, 0, 0, 0, 0, 1}, "lateen1", {2, 0, 0, 0, 0, 2}, netns.get());
}

Result<> try_nat() {
  return nft_apply(
      "table ip lateen_probe {\n"
      "  chain out { type nat hook output priority -100; ip daddr 10.96.0.1 tcp dport 1 dnat to "
      "127.0.0.1:2; }\n"
      "  chain post { type nat hook postrouting priority 100; meta mark 1 masquerade; }\n"
      "}\n");
}

Result<> nothing() { return {}; }

Result<> require(Result<> tried, std::string_view missing) {
  if (tried.ok()) return {};
  return Error(Code::kFailedPrecondition, fmt::format("{} ({})", missing, tried.error().message()));
}

}  // namespace

Result<> check_kernel() {
  TRY(require(
      run_in_namespaces(0, &nothing),
      "this kernel does not let you make user namespaces: run as root, or set sysctl "
      "kernel.unprivileged_userns_clone=1 (Debian) or "
      "kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), and user.max_user_namespaces "
      "above 0"));
  TRY(require(run_in_namespaces(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC, &nothing),
              "this kernel lacks mount, PID, UTS or IPC namespaces"));
  TRY(require(run_in_namespaces(CLONE_NEWNET, &nothing), "this kernel lacks network namespaces"));
  TRY(require(run_in_namespaces(CLONE_NEWNET, &try_veth),
              "this kernel cannot make veth links: load the module with `modprobe veth`"));
  return require(
      run_in_namespaces(CLONE_NEWNET, &try_nat),
      "this kernel cannot do NAT in nftables: load the modules with `modprobe -a nf_tables "
      "nft_chain_nat nft_masq`");
}

Result<> join_namespace(int fd, int kind) {
  if (::setns(fd, kind) != 0) return errno_error("joining a namespace", errno);
  return {};
}

}  // namespace lateen::os
