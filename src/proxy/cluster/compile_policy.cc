// Load-balancing policies in both spellings (lb_policy, load_balancing_policy) and the DnsCluster
// extension.

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/extensions/clusters/dns/v3/dns_cluster.pb.h"
#include "envoy/extensions/load_balancing_policies/least_request/v3/least_request.pb.h"
#include "envoy/extensions/load_balancing_policies/maglev/v3/maglev.pb.h"
#include "envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash.pb.h"
#include "envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.pb.h"
#include "envoy/extensions/load_balancing_policies/wrr_locality/v3/wrr_locality.pb.h"
#include "proxy/api/field_check.h"
#include "proxy/api/value_check.h"
#include "proxy/cluster/compile.h"
#include "xds/any.h"
#include "xds/convert.h"
#include "xds/json.h"

namespace lateen::proxy {

namespace cluster = envoy::config::cluster::v3;
using Policy = ClusterConfig::Policy;

Result<> compile_dns_cluster(const cluster::Cluster& config, ClusterConfig& made) {
  const auto dns = TRY(unpack_checked<envoy::extensions::clusters::dns::v3::DnsCluster>(
      config.cluster_type().typed_config()));
  made.type = dns.all_addresses_in_single_endpoint() ? ClusterConfig::Type::kLogicalDns
                                                     : ClusterConfig::Type::kStrictDns;
  if (dns.has_dns_refresh_rate())
    made.dns_refresh =
        std::max(seconds(1), std::chrono::ceil<seconds>(xds::to_nanos(dns.dns_refresh_rate())));
  made.is_dns_ttl_respected = dns.respect_dns_ttl();
  if (dns.has_typed_dns_resolver_config()) TRY(check_dns_resolver(dns.typed_dns_resolver_config()));
  namespace common = envoy::extensions::clusters::common::dns::v3;
  switch (dns.dns_lookup_family()) {
    case common::V4_ONLY: made.dns_family = net::Family::kV4Only; break;
    case common::V6_ONLY: made.dns_family = net::Family::kV6Only; break;
    case common::V4_PREFERRED: made.dns_family = net::Family::kV4Preferred; break;
    case common::ALL: made.dns_family = net::Family::kAll; break;
    default: made.dns_family = net::Family::kAuto;
  }
  return {};
}

namespace {

template <typename Message>
void set_slow_start(const Message& config, ClusterConfig& made) {
  if (!config.has_slow_start_config()) return;
  const auto& slow = config.slow_start_config();
  made.slow_start.window = xds::to_millis(slow.slow_start_window());
  if (slow.has_aggression()) made.slow_start.aggression = slow.aggression().default_value();
  if (slow.has_min_weight_percent())
    made.slow_start.min_weight_percent = slow.min_weight_percent().value();
}

Result<> compile_subsets(const cluster::Cluster::LbSubsetConfig& config, ClusterConfig& made) {
  using Config = cluster::Cluster::LbSubsetConfig;
  using Selector = Config::LbSubsetSelector;
  using Fallback = SubsetSelector::Fallback;
  if (config.subset_selectors().empty()) return {};
  Subsets subsets;
  if (config.fallback_policy() == Config::ANY_ENDPOINT) subsets.fallback = Fallback::kAny;
  if (config.fallback_policy() == Config::DEFAULT_SUBSET)
    subsets.fallback = Fallback::kDefaultSubset;
  const auto labels = xds::struct_to_json(config.default_subset());
  if (const auto* object = labels.if_object()) subsets.default_subset = *object;
  for (const auto& one : config.subset_selectors()) {
    SubsetSelector selector;
    selector.keys.assign(one.keys().begin(), one.keys().end());
    selector.fallback_keys.assign(one.fallback_keys_subset().begin(),
                                  one.fallback_keys_subset().end());
    switch (one.fallback_policy()) {
      case Selector::NO_FALLBACK: selector.fallback = Fallback::kNone; break;
      case Selector::ANY_ENDPOINT: selector.fallback = Fallback::kAny; break;
      case Selector::DEFAULT_SUBSET: selector.fallback = Fallback::kDefaultSubset; break;
      case Selector::KEYS_SUBSET: selector.fallback = Fallback::kKeys; break;
      default: break;
    }
    subsets.selectors.push_back(std::move(selector));
  }
  made.subsets = std::move(subsets);
  return {};
}

template <typename Message>
void set_locality(const Message& config, ClusterConfig& made) {
  if (config.has_locality_lb_config() &&
      config.locality_lb_config().has_locality_weighted_lb_config())
    made.is_locality_weighted = true;
}

// False when the policy is not known here: the next one in the list is tried.
Result<bool> apply_policy(const google::protobuf::Any& any, ClusterConfig& made) {
  namespace lb = envoy::extensions::load_balancing_policies;
  const std::string type = xds::carried_type(any);
  if (type.ends_with("round_robin.v3.RoundRobin")) {
    made.policy = Policy::kRoundRobin;
    const auto config = TRY(unpack_checked<lb::round_robin::v3::RoundRobin>(any));
    set_locality(config, made);
    set_slow_start(config, made);
  } else if (type.ends_with("least_request.v3.LeastRequest")) {
    const auto config = TRY(unpack_checked<lb::least_request::v3::LeastRequest>(any));
    made.policy = Policy::kLeastRequest;
    if (config.has_choice_count()) made.choice_count = std::max(2u, config.choice_count().value());
    set_locality(config, made);
    set_slow_start(config, made);
  } else if (type.ends_with("pick_first.v3.PickFirst")) {
    made.policy = Policy::kPickFirst;
  } else if (type.ends_with("random.v3.Random")) {
    made.policy = Policy::kRandom;
  } else if (type.ends_with("ring_hash.v3.RingHash")) {
    const auto config = TRY(unpack_checked<lb::ring_hash::v3::RingHash>(any));
    made.policy = Policy::kRingHash;
    if (config.has_minimum_ring_size()) made.min_ring_size = config.minimum_ring_size().value();
    if (config.has_maximum_ring_size()) made.max_ring_size = config.maximum_ring_size().value();
  } else if (type.ends_with("maglev.v3.Maglev")) {
    const auto config = TRY(unpack_checked<lb::maglev::v3::Maglev>(any));
    made.policy = Policy::kMaglev;
    if (config.has_table_size()) made.table_size = config.table_size().value();
  } else if (type.ends_with("wrr_locality.v3.WrrLocality")) {
    const auto config = TRY(unpack_checked<lb::wrr_locality::v3::WrrLocality>(any));
    made.is_locality_weighted = true;
    for (const auto& one : config.endpoint_picking_policy().policies())
      if (TRY(apply_policy(one.typed_extension_config().typed_config(), made))) break;
  } else if (type.ends_with("ClientSideWeightedRoundRobin")) {
    made.policy = Policy::kRoundRobin;
  } else if (type.ends_with("cluster_provided.v3.ClusterProvided")) {
    made.policy = Policy::kRoundRobin;
  } else {
    return false;
  }
  return true;
}

}  // namespace

Result<> compile_policy(const cluster::Cluster& config, ClusterConfig& made) {
  made.is_locality_weighted = config.common_lb_config().has_locality_weighted_lb_config();
  if (config.common_lb_config().has_healthy_panic_threshold())
    made.panic_percent = config.common_lb_config().healthy_panic_threshold().value();
  if (config.common_lb_config().zone_aware_lb_config().fail_traffic_on_panic())
    made.is_traffic_failed_on_panic = true;
  if (config.has_lb_subset_config()) TRY(compile_subsets(config.lb_subset_config(), made));
  if (config.load_balancing_policy().policies_size() > 0) {
    for (const auto& one : config.load_balancing_policy().policies())
      if (TRY(apply_policy(one.typed_extension_config().typed_config(), made))) return {};
    return invalid("load_balancing_policy: none of the policies is known here", Blame::kConfig);
  }
  switch (config.lb_policy()) {
    case cluster::Cluster::LEAST_REQUEST:
      made.policy = Policy::kLeastRequest;
      set_slow_start(config.least_request_lb_config(), made);
      if (config.least_request_lb_config().has_choice_count())
        made.choice_count = std::max(2u, config.least_request_lb_config().choice_count().value());
      break;
    case cluster::Cluster::RANDOM: made.policy = Policy::kRandom; break;
    case cluster::Cluster::RING_HASH:
      made.policy = Policy::kRingHash;
      if (config.ring_hash_lb_config().has_minimum_ring_size())
        made.min_ring_size = config.ring_hash_lb_config().minimum_ring_size().value();
      if (config.ring_hash_lb_config().has_maximum_ring_size())
        made.max_ring_size = config.ring_hash_lb_config().maximum_ring_size().value();
      break;
    case cluster::Cluster::MAGLEV:
      made.policy = Policy::kMaglev;
      if (config.maglev_lb_config().has_table_size())
        made.table_size = config.maglev_lb_config().table_size().value();
      break;
    default:
      made.policy = Policy::kRoundRobin;
      set_slow_start(config.round_robin_lb_config(), made);
  }
  if (made.table_size == 0 || made.table_size > 5'000'011)
    return invalid("the maglev table size must be in 1…5000011", Blame::kConfig);
  return {};
}

}  // namespace lateen::proxy
