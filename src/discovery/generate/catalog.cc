#include "discovery/generate/catalog.h"

#include <algorithm>

#include "discovery/generate/envoy_filters.h"
#include "discovery/generate/proxyless.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "xds/any.h"

namespace lateen::discovery {
namespace {

constexpr std::size_t kMostLists = 16;  // of names that a kind's proxies subscribe to, per type
constexpr std::size_t kMostRoutes = 20'000;  // of a facet
constexpr std::uint64_t kIdleTurns = 8;

// Sidecars count by themselves: a Sight has its own.
constexpr PartSet kScopeParts = parts(Part::kServices, Part::kVirtualServices, Part::kMesh);
// What may make another kind of a proxy, its own workload apart.
constexpr PartSet kKindParts =
    parts(Part::kServices, Part::kIdentities, Part::kEnvoyFilters, Part::kMesh);
constexpr PartSet kOutboundParts =
    parts(Part::kServices, Part::kIdentities, Part::kRules, Part::kGateways, Part::kMesh,
          Part::kNetworks, Part::kPeerAuthentications);
constexpr PartSet kClusterParts = kOutboundParts | parts(Part::kEnvoyFilters, Part::kProxyConfigs);
constexpr PartSet kAssignmentParts =
    parts(Part::kServices, Part::kRules, Part::kMesh, Part::kNetworks, Part::kPeerAuthentications);
constexpr PartSet kListenerParts =
    kAllParts & ~parts(Part::kEndpoints, Part::kVirtualServices, Part::kSecrets, Part::kWorkloads,
                       Part::kSidecars);
constexpr PartSet kRouteParts =
    parts(Part::kServices, Part::kRules, Part::kMesh, Part::kEnvoyFilters);
constexpr PartSet kGatewayRouteParts = kRouteParts | parts(Part::kVirtualServices, Part::kGateways);
constexpr PartSet kOtherParts =
    kAllParts & ~parts(Part::kEndpoints, Part::kWorkloads, Part::kSidecars);

bool patches(const MeshSnapshot& mesh, std::initializer_list<mesh::EnvoyFilter::ApplyTo> what) {
  for (const auto& filter : mesh.input().envoy_filters) {
    for (const auto& patch : filter->spec.patches) {
      if (std::find(what.begin(), what.end(), patch.apply_to) != what.end()) return true;
    }
  }
  return false;
}

}  // namespace

// What proxies of a namespace with the same Sidecar see.
struct Catalog::Sight {
  std::uint64_t stamp = 0;
  std::uint64_t id = 0;  // another when more than the virtual services differs
  mesh::ConfigPtr<mesh::Sidecar> sidecar;
  std::uint64_t used = 0;
  std::shared_ptr<const Scope> scope;
};

// A list of resources, and what it was made of.
struct Catalog::Cached {
  xds::NamesPtr names;
  std::uint64_t stamp = 0;
  std::uint64_t sight = 0;
  xds::ResourcesPtr made;

  bool is_of(std::uint64_t now, std::uint64_t seen) const {
    return made != nullptr && stamp == now && sight == seen;
  }
};

// What several kinds of proxies have in common.
struct Catalog::Facet {
  struct List : Assignments {
    std::uint64_t stamp = 0, sight = 0, endpoints = 0;
  };
  struct Route : RouteMemo {
    std::uint64_t stamp = 0, sight = 0, routing = 0, configs = 0;
  };
  std::uint64_t used = 0;
  Cached clusters;
  std::deque<List> lists;
  ByName<Route> routes;
};

class Catalog::Kind {
 public:
  explicit Kind(std::string key) : key(std::move(key)) {}

  const std::string key;
  // Any proxy of the kind, as it was when it was classified last.
  Proxy proxy;
  std::vector<Target> targets;
  // Under which stamp the facets were chosen.
  std::uint64_t facets_stamp = 0;
  std::string outbound_key, outbound_family, route_key, route_family;
  Sight* sight = nullptr;  // of turn `sight_turn`
  std::uint64_t sight_turn = 0;
  std::uint32_t group = 0;
  Cached clusters, listeners, name_table;
  std::map<std::string, std::deque<Cached>, std::less<>> named;

  Cached& list_of(std::string_view type_url, const xds::NamesPtr& names, bool is_kept,
                  Cached& once) {
    if (!is_kept) return once;
    auto at = named.find(type_url);
    if (at == named.end()) at = named.emplace(std::string(type_url), std::deque<Cached>()).first;
    for (Cached& list : at->second) {
      if (list.names == names) return list;
    }
    if (at->second.size() >= kMostLists) at->second.pop_front();
    at->second.emplace_back().names = names;
    return at->second.back();
  }
};

Catalog::Catalog() = default;
Catalog::~Catalog() = default;

void Catalog::update(SnapshotPtr snapshot, const std::set<std::string>* hosts) {
  const SnapshotPtr before = std::exchange(snapshot_, std::move(snapshot));
  const MeshSnapshot& mesh = *snapshot_;
  ++turn_;
  const auto is_changed = [&](PartSet of) {
    return before == nullptr || before->stamp(of) != mesh.stamp(of);
  };
  if (is_changed(parts(Part::kEndpoints))) {
    changes_.push_back({mesh.stamp(parts(Part::kEndpoints)),
                        before == nullptr ? 0 : before->stamp(parts(Part::kEndpoints)),
                        hosts == nullptr ? std::nullopt : std::optional(*hosts)});
    if (changes_.size() > kMostChanges) changes_.pop_front();
  }
  // Everything is made of these, and addresses of network gateways are of services.
  const PartSet base = parts(Part::kMesh, Part::kNetworks, Part::kPeerAuthentications);
  const bool has_networks =
      mesh.has_network_gateways() || (before && before->has_network_gateways());
  if (is_changed(has_networks ? base | parts(Part::kServices) : base)) {
    cluster_memo_.clear();
    endpoint_memo_.clear();
  }
  if (is_changed(parts(Part::kEnvoyFilters, Part::kMesh))) {
    using ApplyTo = mesh::EnvoyFilter::ApplyTo;
    has_cluster_patches_ = patches(mesh, {ApplyTo::kCluster});
    has_route_patches_ =
        patches(mesh, {ApplyTo::kRouteConfiguration, ApplyTo::kVirtualHost, ApplyTo::kHttpRoute});
    is_named_somewhere_ = false;
    using Kind = mesh::ExtensionProvider::Kind;
    for (const auto& provider : mesh.mesh().providers) {
      is_named_somewhere_ |=
          provider.kind == Kind::kOpenTelemetry || provider.kind == Kind::kDatadog;
    }
    for (const auto& filter : mesh.input().envoy_filters) {
      for (const auto& patch : filter->spec.patches) {
        is_named_somewhere_ |= !patch.proxy_metadata.empty();
      }
    }
  }
  if (turn_ % kIdleTurns == 0) sweep();
}

void Catalog::sweep() {
  std::erase_if(kinds_, [](const auto& entry) { return entry.second.expired(); });
  // Before the sights that they point to.
  for (const auto& [key, kind] : kinds_) {
    if (const KindPtr alive = kind.lock(); alive->sight_turn + kIdleTurns < turn_)
      alive->sight = nullptr;
  }
  std::erase_if(sights_,
                [&](const auto& entry) { return entry.second->used + kIdleTurns < turn_; });
  std::erase_if(facets_,
                [&](const auto& entry) { return entry.second->used + kIdleTurns < turn_; });
  std::erase_if(newest_, [&](const auto& entry) { return facets_.count(entry.second) == 0; });
  endpoint_memo_.sweep();
  cluster_memo_.sweep();
  std::erase_if(shared_, [](const auto& entry) { return entry.second.expired(); });
}

// Everything about a proxy that generators look at, but for what tells replicas apart.
std::string Catalog::key_of(const Proxy& proxy, const std::vector<Target>& targets) const {
  std::string key;
  const auto add = [&](std::string_view part) { key.append("\n").append(part); };
  if (is_named_somewhere_) add(proxy.id);
  if (snapshot_->is_headless_address(proxy.ips.front())) add(proxy.ips.front());
  add(std::to_string(static_cast<int>(proxy.type)));
  for (const std::string_view part :
       {std::string_view(proxy.ns), std::string_view(proxy.dns_domain),
        std::string_view(proxy.service_account), std::string_view(proxy.locality),
        std::string_view(proxy.trust_domain), std::string_view(proxy.envoy_version)}) {
    add(part);
  }
  add(proxy.is_verified ? "verified" : "");
  add(proxy.shared_metadata);  // labels, network, cluster, version, ports and switches are in it
  for (const Target& target : targets) {
    add(target.service->host);
    add(std::to_string(target.port->number) + ":" + std::to_string(target.number));
  }
  return key;
}

void Catalog::classify(const Proxy& proxy, Member& member) {
  const std::uint64_t stamp = snapshot_->stamp(kKindParts);
  auto workload = snapshot_->workload_of(proxy);
  if (member.kind != nullptr && member.stamp == stamp && member.workload == workload) return;
  std::vector<Target> targets = snapshot_->targets_of(proxy);
  std::string key = key_of(proxy, targets);
  if (member.kind == nullptr || member.kind->key != key) {
    std::weak_ptr<Kind>& known = kinds_[key];
    KindPtr kind = known.lock();
    if (kind == nullptr) known = kind = std::make_shared<Kind>(std::move(key));
    member.kind = std::move(kind);
  }
  member.kind->proxy = proxy;
  member.kind->targets = std::move(targets);
  member.stamp = stamp;
  member.workload = std::move(workload);
}

Catalog::Sight& Catalog::sight_of(Kind& kind) {
  if (kind.sight == nullptr || kind.sight_turn != turn_) {
    kind.sight = &make_sight(kind.proxy);
    kind.sight_turn = turn_;
  }
  return *kind.sight;
}

Catalog::Sight& Catalog::make_sight(const Proxy& proxy) {
  auto sidecar = snapshot_->find_sidecar(proxy);
  std::unique_ptr<Sight>& slot = sights_[scope_key(proxy, sidecar)];
  if (slot == nullptr) slot = std::make_unique<Sight>();
  slot->used = turn_;
  const std::uint64_t stamp = snapshot_->stamp(kScopeParts);
  if (slot->scope != nullptr && slot->stamp == stamp && slot->sidecar == sidecar) return *slot;
  auto scope = make_scope(*snapshot_, proxy);
  if (slot->scope == nullptr || !slot->scope->has_same_services(*scope)) slot->id = next_sight_++;
  slot->scope = std::move(scope);
  slot->stamp = stamp;
  slot->sidecar = std::move(sidecar);
  return *slot;
}

// A new one begins with what a relative has, as when a namespace gets a Sidecar: each part of it
// says what it was made of.
Catalog::Facet& Catalog::facet_of(const std::string& key, const std::string& family) {
  std::unique_ptr<Facet>& slot = facets_[key];
  if (slot == nullptr) {
    std::string& newest = newest_[family];
    const auto relative = facets_.find(newest);
    slot = relative == facets_.end() || relative->second == nullptr
               ? std::make_unique<Facet>()
               : std::make_unique<Facet>(*relative->second);
    newest = key;
  }
  slot->used = turn_;
  return *slot;
}

// Which kinds of proxies a kind shares clusters, endpoints and routes with.
void Catalog::choose_facets(Kind& kind) {
  const MeshSnapshot& mesh = *snapshot_;
  constexpr PartSet kOf =
      kKindParts | kScopeParts | parts(Part::kSidecars, Part::kRules, Part::kNetworks);
  const std::uint64_t stamp = mesh.stamp(kOf);
  if (kind.facets_stamp == stamp) return;
  kind.facets_stamp = stamp;
  const std::string scope = scope_key(kind.proxy, mesh.find_sidecar(kind.proxy));
  const std::string group = outbound_group(mesh, kind.proxy);
  kind.group = groups_.of(group);
  std::string labels;
  for (const auto& [key, value] : kind.proxy.labels) labels += key + "=" + value + "\n";
  kind.outbound_family = kind.proxy.ns + "\nout\n" + group;
  if (mesh.has_rule_selectors()) kind.outbound_family += "\n" + labels;
  kind.outbound_key = scope + "\n" + kind.outbound_family;
  if (kind.proxy.is_gateway() || has_route_patches_) {
    kind.route_key = kind.route_family = "all" + kind.key;
  } else {
    kind.route_family = kind.proxy.ns + "\nroutes\n" +
                        (kind.proxy.uses_auto_addresses ? "auto" : "") + "\n" + kind.proxy.version +
                        (kind.proxy.is_lateen ? " lateen" : "") +
                        std::string(kind.proxy.meta("GENERATOR"));
    if (mesh.has_rule_selectors() || mesh.has_source_labels()) kind.route_family += "\n" + labels;
    kind.route_key = scope + "\n" + kind.route_family;
  }
}

xds::ServedPtr Catalog::share(xds::Served served) {
  const auto [begin, end] = shared_.equal_range(served.version);
  for (auto it = begin; it != end; ++it) {
    auto known = it->second.lock();
    if (known != nullptr && known->name == served.name && *known->body == *served.body) {
      return known;
    }
  }
  auto made = std::make_shared<const xds::Served>(std::move(served));
  shared_.emplace(made->version, made);
  return made;
}

xds::ResourcesPtr Catalog::resources(Kind& kind, std::string_view type_url,
                                     const xds::NamesPtr& names, bool is_kept) {
  choose_facets(kind);
  const Sight& sight = sight_of(kind);
  const View view{*snapshot_, kind.proxy, *sight.scope, kind.targets};
  if (is_proxyless(kind.proxy) && type_url != xds::kEndpointType)
    return proxyless(kind, view, type_url, names, is_kept);
  if (type_url == xds::kClusterType) return clusters(kind, view, sight.id);
  if (type_url == xds::kEndpointType) return endpoints(kind, view, names, is_kept);
  if (type_url == xds::kRouteType) return routes(kind, view, sight.id, names, is_kept);
  return others(kind, view, sight.id, type_url, names, is_kept);
}

// Few, and made anew each time: these applications name what they want.
xds::ResourcesPtr Catalog::proxyless(Kind& kind, const View& view, std::string_view type_url,
                                     const xds::NamesPtr& names, bool is_kept) {
  const std::set<std::string> wanted(names->begin(), names->end());
  xds::Resources made;
  if (auto all = make_for_proxyless(view, type_url, wanted)) {
    for (xds::Served& served : *all) made.push_back(share(std::move(served)));
  }
  Cached once;
  Cached& list = kind.list_of(type_url, names, is_kept, once);
  list.made = keep_same(list.made, std::move(made));
  return list.made;
}

xds::ResourcesPtr Catalog::clusters(Kind& kind, const View& view, std::uint64_t sight) {
  const std::uint64_t stamp = snapshot_->stamp(kClusterParts);
  // Own clusters follow the targets, which a kind's key has but for what they are called.
  if (kind.clusters.is_of(stamp, sight)) return kind.clusters.made;
  xds::Resources made;
  if (has_cluster_patches_) {
    for (xds::Served& served : make_all_clusters(view)) made.push_back(share(std::move(served)));
  } else {
    Facet& facet = facet_of(kind.outbound_key, kind.outbound_family);
    const std::uint64_t outbound = snapshot_->stamp(kOutboundParts);
    const std::uint64_t services = view.scope.services_mark;
    if (!facet.clusters.is_of(outbound, services)) {
      xds::Resources shared;
      for_each_outbound(view, [&](const OutboundItem& item) {
        shared.push_back(cluster_memo_.get(view, item, kind.group));
      });
      facet.clusters.made = keep_same(facet.clusters.made, std::move(shared));
      facet.clusters.stamp = outbound;
      facet.clusters.sight = services;
    }
    made = *facet.clusters.made;
    for (const Cluster& cluster : make_own_clusters(view)) {
      made.push_back(share(make_served(cluster.name(), cluster)));
    }
  }
  kind.clusters.made = keep_same(kind.clusters.made, std::move(made));
  kind.clusters.stamp = stamp;
  kind.clusters.sight = sight;
  return kind.clusters.made;
}

// The hosts whose endpoints changed after `since`; null: any may have.
const std::set<std::string>* Catalog::changes_since(std::uint64_t since,
                                                    std::set<std::string>& all) const {
  std::uint64_t reached = since;
  for (const Change& change : changes_) {
    if (change.before < since) continue;
    if (change.before != reached || !change.hosts) return nullptr;
    all.insert(change.hosts->begin(), change.hosts->end());
    reached = change.stamp;
  }
  return reached == snapshot_->stamp(parts(Part::kEndpoints)) ? &all : nullptr;
}

xds::ResourcesPtr Catalog::endpoints(Kind& kind, const View& view, const xds::NamesPtr& names,
                                     bool is_kept) {
  if (!is_kept) {
    xds::Resources made;
    for (const std::string& name : *names) {
      made.push_back(endpoint_memo_.get(view, kind.group, name));
    }
    return std::make_shared<const xds::Resources>(std::move(made));
  }
  Facet& facet = facet_of(kind.outbound_key, kind.outbound_family);
  auto list = std::find_if(facet.lists.begin(), facet.lists.end(),
                           [&](const Facet::List& one) { return one.names == names; });
  if (list == facet.lists.end()) {
    if (facet.lists.size() >= kMostLists) facet.lists.pop_front();
    facet.lists.emplace_back().names = names;
    list = std::prev(facet.lists.end());
  }
  const std::uint64_t stamp = snapshot_->stamp(kAssignmentParts);
  const std::uint64_t points = snapshot_->stamp(parts(Part::kEndpoints));
  const std::uint64_t sight = view.scope.services_mark;
  if (list->made == nullptr || list->stamp != stamp || list->sight != sight) {
    endpoint_memo_.fill(view, kind.group, *list);
  } else if (list->endpoints != points) {
    std::set<std::string> hosts;
    endpoint_memo_.refresh(view, kind.group, changes_since(list->endpoints, hosts), *list);
  }
  list->stamp = stamp;
  list->sight = sight;
  list->endpoints = points;
  return list->made;
}

xds::ResourcesPtr Catalog::routes(Kind& kind, const View& view, std::uint64_t sight,
                                  const xds::NamesPtr& names, bool is_kept) {
  Facet& facet = facet_of(kind.route_key, kind.route_family);
  const bool is_whole = kind.proxy.is_gateway() || has_route_patches_;
  const std::uint64_t stamp = snapshot_->stamp(is_whole ? kGatewayRouteParts : kRouteParts);
  const std::uint64_t routing = snapshot_->stamp(parts(Part::kVirtualServices));
  xds::Resources made;
  if (facet.routes.size() > kMostRoutes) facet.routes.clear();
  for (const std::string& name : *names) {
    Facet::Route& route = facet.routes[name];
    const RouteSight seen = is_whole ? RouteSight{sight, 0} : sight_of_route(view.scope, name);
    const bool is_base =
        route.served != nullptr && route.stamp == stamp && route.sight == seen.services;
    if (!is_base || route.routing != routing || route.configs != seen.configs) {
      const xds::ServedPtr before = route.served;
      if (is_whole) {
        route.served = share(*make_named(view, xds::kRouteType, name));
      } else {
        if (!is_base) static_cast<RouteMemo&>(route) = {};
        renew_sidecar_route(view, name, route);
      }
      if (before != nullptr && before->version == route.served->version) route.served = before;
      route.stamp = stamp;
      route.sight = seen.services;
      route.routing = routing;
      route.configs = seen.configs;
    }
    made.push_back(route.served);
  }
  Cached once;
  Cached& list = kind.list_of(xds::kRouteType, names, is_kept, once);
  list.made = keep_same(list.made, std::move(made));
  return list.made;
}

// Listeners, name tables, secrets, extensions: made whole, per kind.
xds::ResourcesPtr Catalog::others(Kind& kind, const View& view, std::uint64_t sight,
                                  std::string_view type_url, const xds::NamesPtr& names,
                                  bool is_kept) {
  const bool is_listener = type_url == xds::kListenerType;
  const bool is_table = type_url == xds::kNameTableType;
  const std::uint64_t stamp = snapshot_->stamp(is_listener ? kListenerParts : kOtherParts);
  Cached once;
  Cached& list = is_listener ? kind.listeners
                 : is_table  ? kind.name_table
                             : kind.list_of(type_url, names, is_kept, once);
  if (list.is_of(stamp, sight)) return list.made;
  xds::Resources made;
  if (is_listener) {
    for (xds::Served& served : make_all_listeners(view)) made.push_back(share(std::move(served)));
  } else if (is_table) {
    made.push_back(share(make_name_table(view)));
  } else {
    for (const std::string& name : *names) {
      if (auto served = make_named(view, type_url, name)) made.push_back(share(*std::move(served)));
    }
  }
  list.made = keep_same(list.made, std::move(made));
  list.stamp = stamp;
  list.sight = sight;
  return list.made;
}

}  // namespace lateen::discovery
