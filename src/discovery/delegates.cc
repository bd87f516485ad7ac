#include "discovery/delegates.h"

#include <algorithm>

#include "mesh/hostname.h"

namespace lateen::discovery {
namespace {

using mesh::HttpMatch;
using mesh::HttpRoute;
using mesh::StringMatch;
using mesh::VirtualService;

// Both must hold. Fails when they can never hold together, as upstream does: two matches on one
// field conflict unless they are the same or the child's refines a prefix.
bool merge_field(std::optional<StringMatch>& root, const std::optional<StringMatch>& child) {
  if (!child) return true;
  if (!root) {
    root = child;
    return true;
  }
  if (root->kind == StringMatch::Kind::kPrefix && child->kind != StringMatch::Kind::kRegex &&
      child->value.starts_with(root->value)) {
    root = child;
    return true;
  }
  return root->kind == child->kind && root->value == child->value;
}

bool merge_match(HttpMatch& root, const HttpMatch& child) {
  if (!merge_field(root.uri, child.uri) || !merge_field(root.scheme, child.scheme) ||
      !merge_field(root.method, child.method) || !merge_field(root.authority, child.authority)) {
    return false;
  }
  if (root.port != 0 && child.port != 0 && root.port != child.port) return false;
  if (child.port != 0) root.port = child.port;
  for (const auto& [name, value] : child.headers) root.headers.emplace(name, value);
  for (const auto& [name, value] : child.without_headers) root.without_headers.emplace(name, value);
  for (const auto& [name, value] : child.query_params) root.query_params.emplace(name, value);
  for (const auto& [name, value] : child.source_labels) root.source_labels.emplace(name, value);
  if (root.source_namespace.empty()) root.source_namespace = child.source_namespace;
  root.is_uri_case_ignored |= child.is_uri_case_ignored;
  if (root.name.empty()) {
    root.name = child.name;
  } else if (!child.name.empty()) {
    root.name += "-" + child.name;
  }
  return true;
}

void merge_route(const HttpRoute& root, HttpRoute child, std::vector<HttpRoute>& out) {
  if (root.match.empty()) {
    // Nothing to add.
  } else if (child.match.empty()) {
    child.match = root.match;
  } else {
    std::vector<HttpMatch> merged;
    for (const HttpMatch& outer : root.match) {
      for (const HttpMatch& inner : child.match) {
        HttpMatch both = outer;
        if (merge_match(both, inner)) merged.push_back(std::move(both));
      }
    }
    if (merged.empty()) return;
    child.match = std::move(merged);
  }
  if (!root.name.empty())
    child.name = child.name.empty() ? root.name : root.name + "-" + child.name;
  if (!child.rewrite) child.rewrite = root.rewrite;
  if (!child.timeout) child.timeout = root.timeout;
  if (!child.retries) child.retries = root.retries;
  if (!child.fault) child.fault = root.fault;
  if (child.mirrors.empty()) child.mirrors = root.mirrors;
  if (!child.cors) child.cors = root.cors;
  for (const auto& [name, value] : root.headers.request.set)
    child.headers.request.set[name] = value;
  for (const auto& [name, value] : root.headers.request.add)
    child.headers.request.add[name] = value;
  out.push_back(std::move(child));
}

void resolve_hosts(VirtualService& spec, std::string_view ns, std::string_view domain) {
  const auto fix = [&](std::string& host) { host = mesh::resolve_host(host, ns, domain); };
  const auto fix_all = [&](std::vector<mesh::RouteDestination>& routes) {
    for (auto& route : routes) fix(route.destination.host);
  };
  for (HttpRoute& route : spec.http) {
    fix_all(route.route);
    for (auto& mirror : route.mirrors) fix(mirror.destination.host);
    for (HttpMatch& match : route.match) {
      for (std::string& gateway : match.gateways) gateway = mesh::resolve_gateway(gateway, ns);
    }
  }
  for (auto* routes : {&spec.tls, &spec.tcp}) {
    for (mesh::L4Route& route : *routes) {
      fix_all(route.route);
      for (mesh::L4Match& match : route.match) {
        for (std::string& gateway : match.gateways) gateway = mesh::resolve_gateway(gateway, ns);
      }
    }
  }
}

}  // namespace

Configs<VirtualService> resolve_virtual_services(const Configs<VirtualService>& all,
                                                 std::string_view domain,
                                                 const ResolvedVirtualServices* known,
                                                 ResolvedVirtualServices* made) {
  ByName<std::shared_ptr<mesh::Config<VirtualService>>> children;
  for (const auto& config : all) {
    if (!config->spec.hosts.empty()) continue;
    auto child = std::make_shared<mesh::Config<VirtualService>>(*config);
    resolve_hosts(child->spec, child->meta.ns, domain);
    children[child->meta.ns + "/" + child->meta.name] = std::move(child);
  }
  Configs<VirtualService> out;
  for (const auto& config : all) {
    if (config->spec.hosts.empty()) continue;
    if (known != nullptr) {
      if (const auto found = known->find(config.get()); found != known->end()) {
        if (made != nullptr) made->insert(*found);
        out.push_back(found->second);
        continue;
      }
    }
    bool delegates = false;
    auto root = std::make_shared<mesh::Config<VirtualService>>(*config);
    for (std::string& host : root->spec.hosts) {
      host = mesh::resolve_host(host, root->meta.ns, domain);
    }
    resolve_hosts(root->spec, root->meta.ns, domain);
    std::vector<HttpRoute> routes;
    for (HttpRoute& route : root->spec.http) {
      if (!route.delegate) {
        routes.push_back(std::move(route));
        continue;
      }
      delegates = true;
      const std::string ns = route.delegate->ns.empty() ? root->meta.ns : route.delegate->ns;
      const auto child = children.find(ns + "/" + route.delegate->name);
      if (child == children.end()) continue;
      if (!mesh::is_exported_to(child->second->spec.export_to, ns, root->meta.ns)) continue;
      for (const HttpRoute& inner : child->second->spec.http) merge_route(route, inner, routes);
    }
    root->spec.http = std::move(routes);
    if (!delegates && made != nullptr) made->emplace(config.get(), root);
    out.push_back(std::move(root));
  }
  return out;
}

}  // namespace lateen::discovery
