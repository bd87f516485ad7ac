// Listeners as compiled values. Immutable, shared by all workers.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/address.h"
#include "proxy/log/access_log.h"
#include "proxy/network/filter.h"
#include "proxy/secret/tls_source.h"
#include "proxy/stats/names.h"

namespace envoy::config::listener::v3 {
class Listener;
}

namespace lateen::proxy {

struct CompileContext;

struct ChainMatch {
  std::optional<std::uint16_t> destination_port;
  std::vector<net::Cidr> destinations;
  std::vector<std::string> server_names;  // lower case; "*.a" wildcards
  std::string transport_protocol;
  std::vector<std::string> application_protocols;
  std::vector<net::Cidr> direct_sources;
  enum class Source : unsigned char {
    kAny,
    kSameIpOrLoopback,
    kExternal
  } source_type = Source::kAny;
  std::vector<net::Cidr> sources;
  std::vector<std::uint16_t> source_ports;
};

// Immutable; a chain that an update of its listener leaves as it was stays the same object, with
// its connections.
struct FilterChain {
  std::string name;
  std::string fingerprint;  // of its configuration and of what that refers to
  ChainMatch match;
  std::shared_ptr<TlsSource> tls;  // null: plain
  milliseconds handshake_timeout{15'000};
  std::vector<std::shared_ptr<const NetworkFilter>> filters;
  bool is_http = false;  // ends in the HTTP connection manager
  // What must be there before it can serve.
  std::vector<std::string> route_names;  // RDS
  std::vector<std::shared_ptr<TlsSource>> tls_sources;
  // Extension configurations (ECDS) it was made with, and their bytes' hashes.
  std::vector<std::pair<std::string, std::size_t>> extensions;
};
using FilterChainRef = std::shared_ptr<const FilterChain>;

// Facts that pick a chain.
struct ChainFacts {
  net::Address local;
  net::Address remote;
  net::Address direct_remote;
  std::string server_name;
  std::string transport_protocol;  // "tls", "raw_buffer", "" when not inspected
  std::vector<std::string> application_protocols;
};

// When a listener filter is off, by destination port.
struct PortPredicate {
  enum class Kind : unsigned char { kNever, kAlways, kRange, kNot, kAny, kAll } kind = Kind::kNever;
  std::uint16_t first = 0, last = 0;  // half open
  std::vector<PortPredicate> parts;
  bool matches(std::uint16_t port) const;
};

struct ListenerFilter {
  enum class Kind : unsigned char {
    kOriginalDst,
    kTlsInspector,
    kHttpInspector,
    kProxyProtocol,
    kOriginalSrc
  } kind;
  PortPredicate disabled;
  bool is_header_optional = false;  // PROXY protocol: a connection without it is taken, too
};

struct ListenerConfig {
  std::string name;
  net::Address address;
  std::vector<net::Address> more_addresses;
  bool is_bound = true;         // bind_to_port
  bool is_internal = false;     // connections come from clusters of this process
  bool is_handing_off = false;  // use_original_dst
  bool is_transparent = false;
  bool is_limit_ignored = false;      // of connections in all
  bool is_overload_bypassed = false;  // serves even when memory runs out
  bool is_reuse_port = true;
  bool is_inbound = false, is_outbound = false;
  std::vector<ListenerFilter> filters;
  milliseconds filters_timeout{15'000};  // 0: none
  bool is_continued_on_timeout = false;
  std::vector<FilterChainRef> chains;
  FilterChainRef fallback;  // default_filter_chain
  std::vector<AccessLog> access_logs;
  std::shared_ptr<ListenerStats> stats;
  std::vector<std::string> route_names;  // RDS names that must be there first
  std::vector<std::shared_ptr<TlsSource>> tls_sources;
  std::uint32_t most_connections = 0;  // over all workers; 0: no bound

  FilterChainRef find_chain(const ChainFacts& facts) const;
  bool has_chain(const FilterChain& chain) const;
  // Chains that `previous` has just so are taken over from it; null: there is none.
  static Result<std::shared_ptr<ListenerConfig>> compile(
      const envoy::config::listener::v3::Listener& config, const CompileContext& context,
      const ListenerConfig* previous = nullptr);
};

}  // namespace lateen::proxy
