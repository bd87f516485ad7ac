// Netlink sets up links, addresses, routes and neighbours (rtnetlink(7)) in the network namespace
// of the thread that opened it. IPv4 addresses are 32 bits in host order. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "linux/fd.h"

namespace lateen::os {

using MacAddress = std::array<std::uint8_t, 6>;

struct Route {
  enum class Type : unsigned char { kUnicast, kBlackhole, kUnreachable };
  Type type = Type::kUnicast;
  std::uint32_t destination = 0;
  int prefix_bits = 0;             // 0 with destination 0: the default route
  std::uint32_t gateway = 0;       // 0: directly on the link
  std::uint32_t source = 0;        // preferred source address; 0: the kernel's choice
  int link = 0;                    // index; 0 for blackholes
  bool is_gateway_onlink = false;  // the gateway needs no route of its own
  std::uint32_t metric = 0;
};

class Netlink {
 public:
  static Result<Netlink> open();

  // Asked in the namespace of the calling thread.
  static Result<int> link_index(const std::string& name);
  // A pair of links: `name` here with address `mac`; `peer_name` in the namespace of
  // `peer_netns_fd`.
  Result<> add_veth(const std::string& name, const MacAddress& mac, const std::string& peer_name,
                    const MacAddress& peer_mac, int peer_netns_fd);
  Result<> remove_link(const std::string& name);
  Result<> set_up(int link);
  Result<> add_address(int link, std::uint32_t address, int prefix_bits);
  // Replaces an equal route.
  Result<> add_route(const Route& route);
  Result<> remove_route(const Route& route);
  // A permanent neighbour entry, so that no ARP is needed.
  Result<> add_neighbor(int link, std::uint32_t address, const MacAddress& mac);

 private:
  struct Request;
  explicit Netlink(Fd fd) : fd_(std::move(fd)) {}
  Result<> run(Request& request, std::string_view what);
  static void fill_route(Request& request, const Route& route);
  Fd fd_;
  std::uint32_t sequence_ = 0;
};

std::string format_ipv4(std::uint32_t address);

}  // namespace lateen::os
