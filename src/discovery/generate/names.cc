#include "discovery/generate/names.h"

#include <fmt/core.h>

#include "base/strings.h"

namespace lateen::discovery {

std::string outbound_name(int port, std::string_view subset, std::string_view host) {
  return fmt::format("outbound|{}|{}|{}", port, subset, host);
}

std::string inbound_name(int port) { return fmt::format("inbound|{}||", port); }

std::string sni_name(int port, std::string_view subset, std::string_view host) {
  return fmt::format("outbound_.{}_.{}_.{}", port, subset, host);
}

std::optional<OutboundName> parse_outbound_name(std::string_view name) {
  std::string_view separator;
  if (name.starts_with("outbound|")) separator = "|";
  if (name.starts_with("outbound_.")) separator = "_.";
  if (separator.empty()) return std::nullopt;
  const auto direction = split_once(name, separator);
  const auto port = split_once(direction->second, separator);
  if (!port) return std::nullopt;
  const auto subset = split_once(port->second, separator);
  const auto number = parse_int(port->first);
  if (!subset || !number) return std::nullopt;
  return OutboundName{static_cast<int>(*number), std::string(subset->first),
                      std::string(subset->second)};
}

std::string config_path(std::string_view kind_path, std::string_view ns, std::string_view name) {
  return fmt::format("/apis/networking.istio.io/v1alpha3/namespaces/{}/{}/{}", ns, kind_path, name);
}

}  // namespace lateen::discovery
