// What the mesh is made of, part by part, and when each was changed last. Everything that is made
// of some parts is as good as new while their stamp is the same.
#pragma once

#include <array>
#include <cstdint>

namespace lateen::discovery {

enum class Part : unsigned char {
  kServices,
  kEndpoints,        // addresses behind services
  kIdentities,       // of endpoints: who answers, and all of headless services' endpoints
  kWorkloads,        // pods and WorkloadEntries
  kVirtualServices,  // with those made of Ingresses and the Gateway API
  kL4Routes,         // of them, those with tls or tcp routes
  kRules,            // DestinationRules
  kGateways,
  kSidecars,
  kPeerAuthentications,
  kRequestAuthentications,
  kAuthorizationPolicies,
  kEnvoyFilters,
  kTelemetries,
  kWasmPlugins,
  kProxyConfigs,
  kSecrets,
  kJwks,
  kMesh,  // MeshConfig, and which namespaces are looked at
  kNetworks,
  kCount,
};

using PartSet = std::uint32_t;
constexpr PartSet part(Part one) { return PartSet{1} << static_cast<unsigned>(one); }
template <typename... Parts>
constexpr PartSet parts(Parts... all) {
  return (part(all) | ... | PartSet{0});
}
inline constexpr PartSet kAllParts = (PartSet{1} << static_cast<unsigned>(Part::kCount)) - 1;

class Versions {
 public:
  void touch(PartSet changed) {
    ++now_;
    for (unsigned i = 0; i < last_.size(); ++i) {
      if ((changed >> i & 1) != 0) last_[i] = now_;
    }
  }
  // Differs when any of `of` was touched in between.
  std::uint64_t stamp(PartSet of) const {
    std::uint64_t out = 0;
    for (unsigned i = 0; i < last_.size(); ++i) {
      if ((of >> i & 1) != 0 && last_[i] > out) out = last_[i];
    }
    return out;
  }

 private:
  std::uint64_t now_ = 1;
  std::array<std::uint64_t, static_cast<std::size_t>(Part::kCount)> last_{};
};

}  // namespace lateen::discovery
