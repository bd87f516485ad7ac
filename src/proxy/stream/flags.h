// Why a request ended the way it did: Envoy's response flags.
#pragma once

#include <cstdint>
#include <string>

namespace lateen::proxy {

enum class Flag : std::uint32_t {
  kFailedLocalHealthCheck = 1u << 0,    // LH
  kNoHealthyUpstream = 1u << 1,         // UH
  kUpstreamTimeout = 1u << 2,           // UT
  kLocalReset = 1u << 3,                // LR
  kUpstreamReset = 1u << 4,             // UR
  kUpstreamConnectFailure = 1u << 5,    // UF
  kUpstreamConnectionEnded = 1u << 6,   // UC
  kUpstreamOverflow = 1u << 7,          // UO
  kNoRoute = 1u << 8,                   // NR
  kDelayInjected = 1u << 9,             // DI
  kFaultInjected = 1u << 10,            // FI
  kRateLimited = 1u << 11,              // RL
  kUnauthorizedExternal = 1u << 12,     // UAEX
  kRateLimitError = 1u << 13,           // RLSE
  kDownstreamEnded = 1u << 14,          // DC
  kRetryLimit = 1u << 15,               // URX
  kStreamIdle = 1u << 16,               // SI
  kInvalidHeader = 1u << 17,            // IH
  kDownstreamProtocolError = 1u << 18,  // DPE
  kMaxDuration = 1u << 19,              // DT
  kUpstreamProtocolError = 1u << 20,    // UPE
  kNoCluster = 1u << 21,                // NC
  kUpstreamMaxDuration = 1u << 22,      // UMSDR
  kOverload = 1u << 23,                 // OM
  kDnsFailure = 1u << 24,               // DF
};

class Flags {
 public:
  void set(Flag flag) { bits_ |= static_cast<std::uint32_t>(flag); }
  bool has(Flag flag) const { return (bits_ & static_cast<std::uint32_t>(flag)) != 0; }
  bool empty() const { return bits_ == 0; }
  std::uint32_t bits() const { return bits_; }
  std::string to_string() const;       // "UF,URX"; "-" when none
  std::string to_long_string() const;  // "UpstreamConnectionFailure,…"

 private:
  std::uint32_t bits_ = 0;
};

}  // namespace lateen::proxy
