// Warming: a new or changed cluster takes traffic once it has its endpoints and secrets; until then
// the earlier version does.

#include "proxy/cluster/cluster_store.h"

#include <algorithm>

#include "base/log.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "proxy/api/field_check.h"
#include "xds/any.h"
#include "xds/raw_resource.h"

namespace lateen::proxy {

namespace {
constexpr seconds kDnsRetry{5};
}

ClusterStore::ClusterStore(Publisher& publisher, SecretStore& secrets, net::Resolver& resolver,
                           std::function<void()> on_change)
    : publisher_(publisher),
      secrets_(secrets),
      resolver_(resolver),
      on_change_(std::move(on_change)) {}

ClusterStore::~ClusterStore() = default;

Result<> ClusterStore::put(const google::protobuf::Any& body, const std::string& version,
                           bool is_via_api) {
  const auto config = TRY(xds::unpack<envoy::config::cluster::v3::Cluster>(body));
  auto& slot = entries_[config.name()];
  if (slot != nullptr && slot->raw != nullptr && slot->raw->body.value() == body.value()) {
    slot->raw->version = version;
    return {};
  }
  auto compiled_or = ClusterConfig::compile(config);
  if (!compiled_or.ok()) {
    if (slot == nullptr) entries_.erase(config.name());
    return std::move(compiled_or).error();
  }
  auto compiled = *std::move(compiled_or);
  for (auto& socket : compiled->transport_sockets)
    if (socket.tls != nullptr) {
      auto bound = secrets_.bind(socket.tls);
      if (!bound.ok()) {
        if (slot == nullptr) entries_.erase(config.name());
        return bound;
      }
    }
  compiled->is_added_via_api = is_via_api;
  if (slot == nullptr) {
    slot = std::make_unique<Entry>();
    slot->raw = std::make_unique<xds::RawResource>();
  } else if (slot->config != nullptr) {
    compiled->state = slot->config->state;  // Counts go on.
  }
  Entry& entry = *slot;
  if (entry.config == nullptr || entry.config->state != compiled->state)
    publisher_.main().shared().stats.add(compiled->state->stats);
  entry.config = std::move(compiled);
  entry.raw->body = body;
  entry.raw->version = version;
  entry.raw->updated = publisher_.main().loop().clock().wall();
  entry.is_published = false;
  entry.scope = std::make_unique<event::Scope>();
  entry.answers.clear();
  entry.dns_timer.reset();
  entry.has_endpoints = false;
  entry.assignment = std::make_unique<xds::RawResource>();
  entry.checker.reset();
  for (const auto& [key, host] : entry.hosts) host->is_check_failed = false;
  if (!entry.config->health_checks.empty())
    entry.checker = std::make_unique<HealthChecker>(
        publisher_.main().loop(), publisher_.main(), entry.config, [this, &entry] {
          entry.config->state->health_epoch.fetch_add(1, std::memory_order_acq_rel);
          update_membership(entry);
        });
  using Type = ClusterConfig::Type;
  switch (entry.config->type) {
    case Type::kOriginalDst:
    case Type::kDynamicForward:
      entry.endpoints = std::make_shared<const EndpointSet>();
      entry.has_endpoints = true;
      break;
    case Type::kEds:
      if (const auto found = assignments_.find(entry.config->eds_service_name);
          found != assignments_.end()) {
        *entry.assignment = found->second;
        TRY(build_endpoints(entry));
      }
      break;
    default:
      entry.assignment->body = xds::pack(config.load_assignment());
      if (entry.config->dns_names.empty()) TRY(build_endpoints(entry));
      else resolve(entry);
  }
  if (entry.config->outlier) {
    entry.outlier_timer = std::make_unique<event::Timer>(
        publisher_.main().loop(), [this, &entry] { check_ejections(entry); });
    entry.outlier_timer->arm(entry.config->outlier->interval);
  } else {
    entry.outlier_timer.reset();
  }
  maybe_publish(entry);
  return {};
}

void ClusterStore::remove(const std::string& name) {
  const auto found = entries_.find(name);
  if (found == entries_.end() || !found->second->config->is_added_via_api) return;
  entries_.erase(found);
  publisher_.to_all([name](Worker& worker) { worker.remove_cluster(name); });
}

Result<> ClusterStore::build_endpoints(Entry& entry) {
  const auto assignment =
      TRY(xds::unpack<envoy::config::endpoint::v3::ClusterLoadAssignment>(entry.assignment->body));
  std::map<std::string, std::shared_ptr<HostState>> hosts;
  const HostStates states = [&](const std::string& key) {
    auto& state = hosts[key];
    if (state == nullptr) {
      const auto old = entry.hosts.find(key);
      state = old != entry.hosts.end() ? old->second : std::make_shared<HostState>();
      if (old == entry.hosts.end())
        state->available_at = publisher_.main().loop().now().time_since_epoch().count();
    }
    return state;
  };
  DnsAnswers dns;
  if (!entry.config->dns_names.empty())
    dns = [&](const std::string& name) {
      const auto found = entry.answers.find(name);
      return found == entry.answers.end() ? std::vector<net::Ip>() : found->second.ips;
    };
  auto endpoints = TRY(compile_endpoints(*entry.config, assignment, states, dns));
  entry.endpoints = std::move(endpoints);
  entry.hosts = std::move(hosts);
  entry.has_endpoints = true;
  if (entry.checker != nullptr) entry.checker->set_hosts(*entry.endpoints);
  entry.config->state->stats->add(ClusterStat::kMembershipChange);
  update_membership(entry);
  return {};
}

void ClusterStore::update_membership(Entry& entry) {
  std::int64_t total = 0, healthy = 0, ejected = 0, degraded = 0, checked = 0;
  for (const auto& priority : entry.endpoints->priorities)
    for (const auto& group : priority)
      for (const auto& host : group.hosts) {
        ++total;
        healthy += host->is_available() ? 1 : 0;
        ejected += host->state->is_ejected ? 1 : 0;
        degraded += host->is_degraded() ? 1 : 0;
        checked += host->state->is_check_failed ? 0 : 1;
      }
  auto& stats = *entry.config->state->stats;
  stats.set(ClusterStat::kMembershipTotal, total);
  stats.set(ClusterStat::kMembershipHealthy, healthy);
  stats.set(ClusterStat::kEjectionsActive, ejected);
  stats.set(ClusterStat::kMembershipDegraded, degraded);
  if (entry.checker != nullptr) stats.set(ClusterStat::kHealthHealthy, checked);
}

bool ClusterStore::is_ready(const Entry& entry) const {
  if (!entry.has_endpoints) return false;
  for (const auto& socket : entry.config->transport_sockets)
    if (socket.tls != nullptr && socket.tls->get() == nullptr) return false;
  return true;
}

void ClusterStore::maybe_publish(Entry& entry) {
  // What the bootstrap names is there at once: the SDS and xDS clusters themselves are needed to
  // get the rest.
  const bool may_publish = is_ready(entry) || !entry.config->is_added_via_api;
  if (!may_publish) return;
  const auto endpoints = entry.endpoints;
  if (entry.is_published) {
    publisher_.to_all([name = entry.config->name, endpoints](Worker& worker) {
      if (endpoints != nullptr) worker.put_endpoints(name, endpoints);
    });
    return;
  }
  entry.is_published = true;
  publisher_.to_all([config = ClusterRef(entry.config), endpoints](Worker& worker) {
    worker.put_cluster(config, endpoints);
  });
}

Result<> ClusterStore::put_assignment(const google::protobuf::Any& body,
                                      const std::string& version) {
  const auto assignment =
      TRY(unpack_checked<envoy::config::endpoint::v3::ClusterLoadAssignment>(body));
  auto& held = assignments_[assignment.cluster_name()];
  if (held.body.value() == body.value() && !held.body.type_url().empty()) {
    held.version = version;
    return {};
  }
  held.body = body;
  held.version = version;
  held.updated = publisher_.main().loop().clock().wall();
  for (auto& [name, entry] : entries_) {
    if (entry->config->type != ClusterConfig::Type::kEds ||
        entry->config->eds_service_name != assignment.cluster_name())
      continue;
    *entry->assignment = held;
    entry->config->state->stats->add(ClusterStat::kUpdateSuccess);
    TRY(build_endpoints(*entry));
    maybe_publish(*entry);
  }
  return {};
}

void ClusterStore::remove_assignment(const std::string& name) {
  assignments_.erase(name);
  for (auto& [cluster, entry] : entries_) {
    if (entry->config->type != ClusterConfig::Type::kEds || entry->config->eds_service_name != name)
      continue;
    entry->endpoints = std::make_shared<const EndpointSet>();
    entry->has_endpoints = true;
    update_membership(*entry);
    maybe_publish(*entry);
  }
}

std::set<std::string> ClusterStore::eds_names() const {
  std::set<std::string> names;
  for (const auto& [name, entry] : entries_)
    if (entry->config->type == ClusterConfig::Type::kEds)
      names.insert(entry->config->eds_service_name);
  return names;
}

bool ClusterStore::is_all_ready() const {
  return std::all_of(entries_.begin(), entries_.end(),
                     [&](const auto& one) { return is_ready(*one.second); });
}

void ClusterStore::check_warming() {
  bool is_changed = false;
  for (auto& [name, entry] : entries_) {
    if (entry->is_published) continue;
    maybe_publish(*entry);
    is_changed = is_changed || entry->is_published;
  }
  if (is_changed) on_change_();
}

void ClusterStore::resolve(Entry& entry) {
  std::set<std::string> names;
  for (const auto& [name, port] : entry.config->dns_names) names.insert(name);
  entry.pending_names = names.size();
  auto& stats = *entry.config->state->stats;
  for (const auto& name : names) {
    stats.add(ClusterStat::kUpdateAttempt);
    resolver_.resolve(
        *entry.scope, name, entry.config->dns_family,
        [this, &entry, name](Result<net::Resolved> answer) {
          auto& stats = *entry.config->state->stats;
          seconds again = entry.config->dns_refresh;
          if (answer.ok()) {
            stats.add(ClusterStat::kUpdateSuccess);
            if (entry.config->is_dns_ttl_respected && answer->ttl.count() > 0)
              again = std::max(seconds(1), answer->ttl);
            entry.answers[name] = *std::move(answer);
          } else {
            stats.add(ClusterStat::kUpdateFailure);
            again = kDnsRetry;
            LOG(kDebug, "dns", "cluster {}: {}", entry.config->name, answer.error().message());
          }
          if (entry.pending_names == 0 || --entry.pending_names > 0) return;
          const bool was_ready = entry.has_endpoints;
          const auto before = entry.endpoints;
          if (auto built = build_endpoints(entry); !built.ok())
            LOG(kWarn, "dns", "cluster {}: {}", entry.config->name, built.error().message());
          const auto addresses = [](const EndpointsRef& set) {
            std::vector<std::string> all;
            if (set != nullptr)
              for (const auto& priority : set->priorities)
                for (const auto& group : priority)
                  for (const auto& host : group.hosts) all.push_back(host->address.to_string());
            std::sort(all.begin(), all.end());
            return all;
          };
          if (!was_ready || addresses(before) != addresses(entry.endpoints)) maybe_publish(entry);
          entry.dns_timer = std::make_unique<event::Timer>(publisher_.main().loop(),
                                                           [this, &entry] { resolve(entry); });
          entry.dns_timer->arm(again);
          if (!was_ready) on_change_();
        });
  }
}

}  // namespace lateen::proxy
