#include "discovery/generate/endpoint_memo.h"

#include <algorithm>

#include "discovery/generate/endpoints.h"
#include "discovery/generate/generator.h"
#include "discovery/generate/names.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"

namespace lateen::discovery {
namespace {

void mix(std::size_t& out, const void* part) {
  out = (out ^ reinterpret_cast<std::size_t>(part)) * 0x9e3779b97f4a7c15u;
  out ^= out >> 29;
}

template <typename Known>
void drop_unused(Known& known) {
  std::erase_if(known, [](const auto& entry) { return entry.second.served.use_count() == 1; });
}

// Host of "outbound|9080|v1|HOST" and "outbound_.9080_.v1_.HOST".
std::string_view host_of(std::string_view name) {
  const std::size_t bar = name.rfind('|');
  if (bar != std::string_view::npos) return name.substr(bar + 1);
  const auto parts = parse_outbound_name(name);
  return parts ? name.substr(name.size() - std::min(name.size(), parts->host.size()))
               : std::string_view();
}

}  // namespace

std::uint32_t GroupNumbers::of(const std::string& text) {
  return numbers_.emplace(text, static_cast<std::uint32_t>(numbers_.size() + 1)).first->second;
}

std::size_t ClusterMemo::Hash::operator()(const Key& key) const {
  std::size_t out = key.group * 2 + (key.is_sni ? 1 : 0);
  mix(out, key.service);
  mix(out, key.rule);
  mix(out, key.endpoints);
  mix(out, key.port);
  mix(out, key.subset);
  return out;
}

void ClusterMemo::sweep() { drop_unused(known_); }

xds::ServedPtr ClusterMemo::get(const View& view, const OutboundItem& item, std::uint32_t group) {
  const auto endpoints = view.mesh.endpoints_of(*item.service);
  const Key key{item.service.get(), item.rule.get(), endpoints.get(), &item.port,
                item.subset,        group,           item.is_sni};
  const auto found = known_.find(key);
  if (found != known_.end()) return found->second.served;
  const Cluster cluster = make_outbound_cluster(view, item);
  auto served = std::make_shared<const xds::Served>(make_served(cluster.name(), cluster));
  known_.emplace(key, Entry{item.service, item.rule, endpoints, served});
  return served;
}

std::size_t EndpointMemo::Hash::operator()(const Key& key) const {
  std::size_t out = std::hash<std::string>()(key.name) + key.group;
  mix(out, key.service);
  mix(out, key.rule);
  mix(out, key.endpoints);
  return out;
}

void EndpointMemo::sweep() { drop_unused(known_); }

Assignments::Item EndpointMemo::look_up(const View& view, const std::string& name) {
  Assignments::Item out;
  const auto parts = parse_outbound_name(name);
  if (!parts) return out;
  out.service = view.scope.find_shared(parts->host);
  if (out.service == nullptr) return out;
  out.rule =
      view.mesh.find_rule(out.service->host, view.proxy.ns, out.service->ns, view.proxy.labels);
  out.endpoints = view.mesh.endpoints_of(*out.service);
  return out;
}

xds::ServedPtr EndpointMemo::make(const View& view, std::uint32_t group, const std::string& name,
                                  const Assignments::Item& item) {
  Key key{item.service.get(), item.rule.get(), item.endpoints.get(), group, name};
  const auto found = known_.find(key);
  if (found != known_.end()) return found->second.served;
  ClusterLoadAssignment assignment;
  make_assignment(view, name, assignment);
  auto served = std::make_shared<const xds::Served>(make_served(name, assignment));
  known_.emplace(std::move(key), Entry{item.service, item.rule, item.endpoints, served});
  return served;
}

xds::ServedPtr EndpointMemo::get(const View& view, std::uint32_t group, const std::string& name) {
  return make(view, group, name, look_up(view, name));
}

void EndpointMemo::fill(const View& view, std::uint32_t group, Assignments& out) {
  if (out.by_host == nullptr) {
    auto by_host = std::make_shared<ByName<std::vector<std::uint32_t>>>();
    std::uint32_t at = 0;
    for (const std::string& name : *out.names)
      (*by_host)[std::string(host_of(name))].push_back(at++);
    out.by_host = std::move(by_host);
  }
  out.items.clear();
  out.items.reserve(out.names->size());
  xds::Resources made;
  made.reserve(out.names->size());
  for (const std::string& name : *out.names) {
    out.items.push_back(look_up(view, name));
    made.push_back(make(view, group, name, out.items.back()));
  }
  out.made = keep_same(out.made, std::move(made));
}

void EndpointMemo::refresh(const View& view, std::uint32_t group,
                           const std::set<std::string>* hosts, Assignments& out) {
  std::shared_ptr<xds::Resources> changed;  // a copy, once one differs
  const auto renew = [&](std::uint32_t at) {
    Assignments::Item& item = out.items[at];
    if (item.service == nullptr) return;
    auto endpoints = view.mesh.endpoints_of(*item.service);
    if (endpoints == item.endpoints) return;
    item.endpoints = std::move(endpoints);
    const std::string& name = *(out.names->begin() + at);
    auto served = make(view, group, name, item);
    const auto& before = (*out.made)[at];
    if (before->version == served->version) return;
    if (changed == nullptr) changed = std::make_shared<xds::Resources>(*out.made);
    (*changed)[at] = std::move(served);
  };
  if (hosts == nullptr) {
    for (std::uint32_t at = 0; at < out.items.size(); ++at) renew(at);
  } else {
    for (const std::string& host : *hosts) {
      const auto found = out.by_host->find(host);
      if (found == out.by_host->end()) continue;
      for (const std::uint32_t at : found->second) renew(at);
    }
  }
  if (changed != nullptr) out.made = std::move(changed);
}

xds::ResourcesPtr keep_same(const xds::ResourcesPtr& before, xds::Resources made) {
  bool is_same = before != nullptr && before->size() == made.size();
  for (std::size_t i = 0; before != nullptr && i < made.size() && i < before->size(); ++i) {
    const xds::ServedPtr& old = (*before)[i];
    if (old == made[i]) continue;
    if (old->version == made[i]->version && old->name == made[i]->name) made[i] = old;
    else is_same = false;
  }
  return is_same ? before : std::make_shared<const xds::Resources>(std::move(made));
}

}  // namespace lateen::discovery
