#include "mesh/networks.h"

#include <arpa/inet.h>

#include <cstring>

#include "base/strings.h"
#include "data/yaml.h"

namespace lateen::mesh {
namespace {

// Whether the IPv4 or IPv6 address is in the range.
bool is_inside(std::string_view ip, std::string_view cidr) {
  const auto parts = split_once(cidr, "/");
  const std::string base(parts ? parts->first : cidr);
  const int family = base.find(':') == std::string::npos ? AF_INET : AF_INET6;
  const unsigned whole = family == AF_INET ? 32 : 128;
  const auto bits = parts ? parse_uint(parts->second) : std::optional<std::uint64_t>(whole);
  unsigned char a[16] = {};
  unsigned char b[16] = {};
  if (!bits || *bits > whole || inet_pton(family, base.c_str(), a) != 1 ||
      inet_pton(family, std::string(ip).c_str(), b) != 1) {
    return false;
  }
  const auto bytes = static_cast<std::size_t>(*bits / 8);
  if (std::memcmp(a, b, bytes) != 0) return false;
  const unsigned rest = static_cast<unsigned>(*bits % 8);
  if (rest == 0) return true;
  const unsigned mask = 0xffu << (8 - rest) & 0xffu;
  return (a[bytes] & mask) == (b[bytes] & mask);
}

void read_network(Reader& reader, MeshNetworks::Network& out) {
  reader.each("endpoints", [&](Reader& item) {
    if (const std::string cidr = item.text("fromCidr"); !cidr.empty()) out.cidrs.push_back(cidr);
    const std::string registry = item.text("fromRegistry");
    if (!registry.empty()) out.registries.push_back(registry);
  });
  reader.each("gateways", [&](Reader& item) {
    MeshNetworks::Gateway& gateway = out.gateways.emplace_back();
    gateway.service = item.text("registryServiceName");
    gateway.address = item.text("address");
    gateway.port = static_cast<int>(item.integer("port"));
    gateway.locality = item.text("locality");
    if (gateway.port < 1 || gateway.port > 65535) item.error("port", "must be 1 to 65535");
    if (gateway.service.empty() == gateway.address.empty()) {
      item.error("address", "give either address or registryServiceName");
    }
  });
}

}  // namespace

std::string_view MeshNetworks::network_of(std::string_view ip, std::string_view cluster) const {
  for (const auto& [name, network] : networks) {
    for (const std::string& cidr : network.cidrs) {
      if (is_inside(ip, cidr)) return name;
    }
  }
  for (const auto& [name, network] : networks) {
    for (const std::string& registry : network.registries) {
      if (registry == cluster) return name;
    }
  }
  return {};
}

Result<MeshNetworks> parse_mesh_networks(std::string_view yaml, Issues& issues) {
  data::Json given = TRY(data::parse_yaml(yaml).at("mesh networks"));
  if (given.is_null()) given = data::JsonObject{};
  if (!given.is_object()) return invalid("mesh networks: must be a map", Blame::kConfig);
  MeshNetworks out;
  Reader reader(given, "", issues);
  reader.each_entry(
      "networks", [&](const std::string& name, Reader& r) { read_network(r, out.networks[name]); });
  return out;
}

}  // namespace lateen::mesh
