// rtnetlink requests, one at a time, each acknowledged.
#include "linux/links.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace lateen::os {

// A request under construction: header, fixed part, attributes.
struct Netlink::Request {
  template <typename Fixed>
  Request(int type, int flags, const Fixed& fixed) {
    header()->nlmsg_type = static_cast<std::uint16_t>(type);
    header()->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    header()->nlmsg_len = NLMSG_LENGTH(sizeof fixed);
    std::memcpy(NLMSG_DATA(header()), &fixed, sizeof fixed);
  }
  nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(bytes); }
  std::size_t end() { return NLMSG_ALIGN(header()->nlmsg_len); }
  void append(const void* data, std::size_t size) {
    CHECK(end() + size <= sizeof bytes);
    std::memcpy(bytes + end(), data, size);
    header()->nlmsg_len = static_cast<std::uint32_t>(end() + size);
  }
  void attribute(int type, const void* data, std::size_t size) {
    rtattr head{static_cast<std::uint16_t>(RTA_LENGTH(size)), static_cast<std::uint16_t>(type)};
    append(&head, sizeof head);
    append(data, size);
  }
  void attribute(int type, std::string_view text) {
    const std::string terminated(text);
    attribute(type, terminated.c_str(), terminated.size() + 1);
  }
  void number(int type, std::uint32_t value) { attribute(type, &value, sizeof value); }
  void address(int type, std::uint32_t host_order) { number(type, htonl(host_order)); }
  // Nested attributes: nest() returns where it starts, for close().
  std::size_t nest(int type) {
    const std::size_t start = end();
    attribute(type, nullptr, 0);
    return start;
  }
  void close(std::size_t start) {
    reinterpret_cast<rtattr*>(bytes + start)->rta_len = static_cast<std::uint16_t>(end() - start);
  }

  alignas(nlmsghdr) char bytes[1024] = {};
};

Result<Netlink> Netlink::open() {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd.is_open()) return errno_error("opening a route netlink socket", errno);
  return Netlink(std::move(fd));
}

Result<> Netlink::run(Request& request, std::string_view what) {
  request.header()->nlmsg_seq = ++sequence_;
  if (::send(fd_.get(), request.bytes, request.header()->nlmsg_len, 0) < 0)
    return errno_error(what, errno);
  alignas(nlmsghdr) char reply[4096];
  while (true) {
    const ssize_t got = ::recv(fd_.get(), reply, sizeof reply, 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      return errno_error(what, errno);
    }
    int left = static_cast<int>(got);
    for (auto* header = reinterpret_cast<nlmsghdr*>(reply); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_seq != sequence_ || header->nlmsg_type != NLMSG_ERROR) continue;
      const int error = -static_cast<nlmsgerr*>(NLMSG_DATA(header))->error;
      if (error == 0) return {};
      return errno_error(what, error);
    }
  }
}

Result<int> Netlink::link_index(const std::string& name) {
  const unsigned index = ::if_nametoindex(name.c_str());
  if (index == 0) return errno_error("looking for network link " + name, errno);
  return static_cast<int>(index);
}

Result<> Netlink::add_veth(const std::string& name, const MacAddress& mac,
                           const std::string& peer_name, const MacAddress& peer_mac,
                           int peer_netns_fd) {
  ifinfomsg link{};
  Request request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, link);
  request.attribute(IFLA_IFNAME, name);
  request.attribute(IFLA_ADDRESS, mac.data(), mac.size());
  const std::size_t info = request.nest(IFLA_LINKINFO);
  request.attribute(IFLA_INFO_KIND, "veth");
  const std::size_t data = request.nest(IFLA_INFO_DATA);
  const std::size_t peer = request.nest(VETH_INFO_PEER);
  request.append(&link, sizeof link);
  request.attribute(IFLA_IFNAME, peer_name);
  request.attribute(IFLA_ADDRESS, peer_mac.data(), peer_mac.size());
  request.number(IFLA_NET_NS_FD, static_cast<std::uint32_t>(peer_netns_fd));
  request.close(peer);
  request.close(data);
  request.close(info);
  return run(request, "making the veth pair " + name);
}

Result<> Netlink::remove_link(const std::string& name) {
  ifinfomsg link{};
  Request request(RTM_DELLINK, 0, link);
  request.attribute(IFLA_IFNAME, name);
  return run(request, "removing network link " + name);
}

Result<> Netlink::set_up(int link) {
  ifinfomsg message{};
  message.ifi_index = link;
  message.ifi_flags = IFF_UP;
  message.ifi_change = IFF_UP;
  Request request(RTM_NEWLINK, 0, message);
  return run(request, "bringing a network link up");
}

Result<> Netlink::add_address(int link, std::uint32_t address, int prefix_bits) {
  ifaddrmsg message{};
  message.ifa_family = AF_INET;
  message.ifa_prefixlen = static_cast<std::uint8_t>(prefix_bits);
  message.ifa_index = static_cast<std::uint32_t>(link);
  Request request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, message);
  request.address(IFA_LOCAL, address);
  request.address(IFA_ADDRESS, address);
  return run(request, "adding address " + format_ipv4(address));
}

void Netlink::fill_route(Request& request, const Route& route) {
  if (route.prefix_bits > 0) request.address(RTA_DST, route.destination);
  if (route.gateway != 0) request.address(RTA_GATEWAY, route.gateway);
  if (route.source != 0) request.address(RTA_PREFSRC, route.source);
  if (route.link != 0) request.number(RTA_OIF, static_cast<std::uint32_t>(route.link));
  if (route.metric != 0) request.number(RTA_PRIORITY, route.metric);
}

namespace {

rtmsg route_message(const Route& route) {
  rtmsg message{};
  message.rtm_family = AF_INET;
  message.rtm_dst_len = static_cast<std::uint8_t>(route.prefix_bits);
  message.rtm_table = RT_TABLE_MAIN;
  message.rtm_protocol = RTPROT_STATIC;
  message.rtm_scope =
      route.type == Route::Type::kUnicast && route.gateway == 0 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  message.rtm_type = route.type == Route::Type::kUnicast     ? RTN_UNICAST
                     : route.type == Route::Type::kBlackhole ? RTN_BLACKHOLE
                                                             : RTN_UNREACHABLE;
  if (route.is_gateway_onlink) message.rtm_flags = RTNH_F_ONLINK;
  return message;
}

std::string route_name(const Route& route) {
  return fmt::format("{}/{}", format_ipv4(route.destination), route.prefix_bits);
}

}  // namespace

Result<> Netlink::add_route(const Route& route) {
  Request request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route_message(route));
  fill_route(request, route);
  return run(request, "adding the route to " + route_name(route));
}

Result<> Netlink::remove_route(const Route& route) {
  Request request(RTM_DELROUTE, 0, route_message(route));
  fill_route(request, route);
  return run(request, "removing the route to " + route_name(route));
}

Result<> Netlink::add_neighbor(int link, std::uint32_t address, const MacAddress& mac) {
  ndmsg message{};
  message.ndm_family = AF_INET;
  message.ndm_ifindex = link;
  message.ndm_state = NUD_PERMANENT;
  Request request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, message);
  request.address(NDA_DST, address);
  request.attribute(NDA_LLADDR, mac.data(), mac.size());
  return run(request, "adding the neighbour " + format_ipv4(address));
}

std::string format_ipv4(std::uint32_t address) {
  return fmt::format("{}.{}.{}.{}", address >> 24, (address >> 16) & 255, (address >> 8) & 255,
                     address & 255);
}

}  // namespace lateen::os
