// Node and pod networks.
#include "cluster/node/network.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <thread>

#include "linux/files.h"
#include "linux/namespaces.h"

namespace lateen::cluster::node {
namespace {

using os::Netlink;
using os::Route;

constexpr std::uint32_t kGateway = 0xa9fe0101;  // 169.254.1.1, on every pod's link, nowhere else
constexpr os::MacAddress kNodeMac = {0xee, 0xee, 0xee, 0xee, 0xee, 0xee};

os::MacAddress mac_of(std::uint32_t ip) {
  return {0x0a,
          0x58,
          static_cast<std::uint8_t>(ip >> 24),
          static_cast<std::uint8_t>(ip >> 16),
          static_cast<std::uint8_t>(ip >> 8),
          static_cast<std::uint8_t>(ip)};
}

Route pod_route(std::uint32_t ip, int link) {
  return {.destination = ip, .prefix_bits = 32, .source = kNodeIp, .link = link};
}

// The pod's side, on a thread that is in the pod's namespaces.
Result<> set_up_inside(std::uint32_t ip) {
  auto links = TRY(Netlink::open());
  const int link = TRY(Netlink::link_index("eth0"));
  TRY(links.set_up(link));
  TRY(links.add_address(link, ip, 32));
  TRY(links.add_neighbor(link, kGateway, kNodeMac));
  return links.add_route({.gateway = kGateway, .link = link, .is_gateway_onlink = true});
}

// Any user may listen on low ports and ping, as under containerd; links have no IPv6
// autoconfiguration.
void set_pod_sysctls() {
  (void)os::write_file("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
  (void)os::write_file("/proc/sys/net/ipv4/ping_group_range", "0 0");
  (void)os::write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
}

}  // namespace

Result<> set_up_node_network() {
  (void)os::write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
  TRY(os::write_file("/proc/sys/net/ipv4/ip_forward", "1"));
  auto links = TRY(Netlink::open());
  const int loopback = TRY(Netlink::link_index("lo"));
  TRY(links.set_up(loopback));
  TRY(links.add_address(loopback, kNodeIp, 32));
  TRY(links.add_address(loopback, kDnsIp, 32));
  TRY(links.add_route({.type = Route::Type::kBlackhole,
                       .destination = kPodNetwork,
                       .prefix_bits = kPodNetworkBits}));
  // A route must exist for NAT to be asked at all: a blackholed destination fails connect() before
  // any rule sees it. Service addresses that no rule rewrites die on the loopback, where nobody
  // listens on them.
  TRY(links.add_route({.destination = kServiceNetwork,
                       .prefix_bits = kServiceNetworkBits,
                       .source = kNodeIp,
                       .link = loopback}));
  // Whatever else: nothing leaves this namespace.
  return links.add_route({.type = Route::Type::kUnreachable, .metric = 4096});
}

Result<std::uint32_t> IpPool::take() {
  const std::lock_guard lock(mutex_);
  for (int i = 0; i < 253; ++i) {
    last_ = last_ >= kPodNetwork + 254 ? kPodNetwork + 2 : last_ + 1;
    if (taken_.insert(last_).second) return last_;
  }
  return Error(Code::kResourceExhausted, "all 253 pod addresses of 10.244.0.0/24 are in use");
}

void IpPool::give_back(std::uint32_t ip) {
  const std::lock_guard lock(mutex_);
  taken_.erase(ip);
}

Result<> Sandbox::open_namespaces() {
  net_ = TRY(os::open_file("/proc/thread-self/ns/net", O_RDONLY));
  ipc_ = TRY(os::open_file("/proc/thread-self/ns/ipc", O_RDONLY));
  uts_ = TRY(os::open_file("/proc/thread-self/ns/uts", O_RDONLY));
  return {};
}

Result<std::unique_ptr<Sandbox>> Sandbox::make_on_node() {
  std::unique_ptr<Sandbox> sandbox(new Sandbox);
  TRY(sandbox->open_namespaces());
  return sandbox;
}

Result<std::unique_ptr<Sandbox>> Sandbox::make(IpPool& pool, const std::string& hostname) {
  std::unique_ptr<Sandbox> sandbox(new Sandbox);
  sandbox->ip_ = TRY(pool.take());
  sandbox->pool_ = &pool;
  // A thread goes into the new namespaces and is thrown away; the descriptors keep them.
  std::optional<Error> failed;
  std::thread inside([&] {
    const auto made = [&]() -> Result<> {
      if (::unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0)
        return errno_error("making a pod's namespaces", errno);
      TRY(sandbox->open_namespaces());
      if (::sethostname(hostname.data(), hostname.size()) != 0)
        return errno_error("setting the pod's hostname", errno);
      set_pod_sysctls();
      auto links = TRY(Netlink::open());
      return links.set_up(TRY(Netlink::link_index("lo")));
    }();
    if (!made.ok()) failed = made.error();
  });
  inside.join();
  if (failed.has_value()) return std::move(*failed);
  TRY(sandbox->connect());
  return sandbox;
}

Result<> Sandbox::connect() {
  const std::string name = fmt::format("pod{:08x}", ip_);
  auto links = TRY(Netlink::open());
  TRY(links.add_veth(name, kNodeMac, "eth0", mac_of(ip_), net_.get()));
  link_ = name;
  std::optional<Error> failed;
  std::thread inside([&] {
    auto joined = os::join_namespace(net_.get(), CLONE_NEWNET);
    if (joined.ok()) joined = set_up_inside(ip_);
    if (!joined.ok()) failed = joined.error();
  });
  inside.join();
  if (failed.has_value()) return std::move(*failed);
  const int link = TRY(Netlink::link_index(name));
  TRY(links.set_up(link));
  TRY(links.add_neighbor(link, ip_, mac_of(ip_)));
  return links.add_route(pod_route(ip_, link));
}

Sandbox::~Sandbox() {
  if (!link_.empty())
    if (auto links = Netlink::open(); links.ok()) (void)links->remove_link(link_);
  if (pool_ != nullptr) pool_->give_back(ip_);
}

}  // namespace lateen::cluster::node
