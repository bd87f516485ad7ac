// EnvoyFilter patches on listeners, their chains, network filters and HTTP filters.
#include <algorithm>

#include "discovery/generate/envoy_filters.h"
#include "discovery/generate/patching.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "xds/any.h"

namespace lateen::discovery {
namespace {

namespace listener_v3 = envoy::config::listener::v3;
namespace hcm_v3 = envoy::extensions::filters::network::http_connection_manager::v3;

constexpr const char* kHttpManager = "envoy.filters.network.http_connection_manager";

// Older names of the same filters that EnvoyFilters in the wild use.
bool same_filter(std::string_view wanted, std::string_view name) {
  if (wanted == name) return true;
  constexpr std::pair<std::string_view, std::string_view> kOld[] = {
      {"envoy.http_connection_manager", kHttpManager},
      {"envoy.tcp_proxy", "envoy.filters.network.tcp_proxy"},
      {"envoy.router", "envoy.filters.http.router"},
      {"envoy.cors", "envoy.filters.http.cors"},
      {"envoy.fault", "envoy.filters.http.fault"},
  };
  for (const auto& [old, now] : kOld) {
    if (wanted == old && name == now) return true;
  }
  return false;
}

bool fits_listener(const Patch& patch, const Listener& listener) {
  if (!patch.listener) return true;
  const auto& match = *patch.listener;
  if (!match.name.empty() && match.name != listener.name()) return false;
  if (match.port == 0) return true;
  if (listener.name() == "virtualInbound") return true;  // its chains carry the ports
  return static_cast<int>(listener.address().socket_address().port_value()) == match.port;
}

bool fits_chain(const Patch& patch, const Listener& listener,
                const listener_v3::FilterChain& chain) {
  if (!patch.listener) return true;
  const auto& match = *patch.listener;
  const auto& own = chain.filter_chain_match();
  if (listener.name() == "virtualInbound" && match.port != 0 &&
      static_cast<int>(own.destination_port().value()) != match.port) {
    return false;
  }
  if (!match.has_chain) return true;
  if (!match.chain_name.empty() && match.chain_name != chain.name()) return false;
  if (!match.chain_transport.empty() && match.chain_transport != own.transport_protocol())
    return false;
  if (!match.chain_transport_socket.empty() &&
      match.chain_transport_socket != chain.transport_socket().name()) {
    return false;
  }
  if (match.chain_destination_port != 0 &&
      static_cast<int>(own.destination_port().value()) != match.chain_destination_port) {
    return false;
  }
  if (!match.chain_sni.empty() && std::find(own.server_names().begin(), own.server_names().end(),
                                            match.chain_sni) == own.server_names().end()) {
    return false;
  }
  for (const std::string_view wanted : split(match.chain_application_protocols, ',')) {
    if (!trim(wanted).empty() &&
        std::find(own.application_protocols().begin(), own.application_protocols().end(),
                  trim(wanted)) == own.application_protocols().end()) {
      return false;
    }
  }
  return true;
}

template <typename Filters>
int find_filter(const Filters& filters, const std::string& name) {
  for (int i = 0; i < filters.size(); ++i) {
    if (name.empty() || same_filter(name, filters[i].name())) return i;
  }
  return -1;
}

// Filters of a chain or of a connection manager alike. `name`: the filter the patch is about.
template <typename Filter, typename Filters>
void patch_filters(const Patch& patch, const std::string& name, Filters& filters) {
  const int at = find_filter(filters, name);
  switch (patch.operation) {
    case PatchOperation::kMerge:
    case PatchOperation::kMergeReplacingLists:
      if (at >= 0 && !name.empty()) merge_patch(patch, filters[at]);
      return;
    case PatchOperation::kRemove:
      if (at >= 0 && !name.empty()) filters.DeleteSubrange(at, 1);
      return;
    case PatchOperation::kReplace: {
      Filter made;
      if (at >= 0 && !name.empty() && read_patch(patch, made)) filters[at] = std::move(made);
      return;
    }
    default: {
      const bool is_relative = patch.operation == PatchOperation::kInsertBefore ||
                               patch.operation == PatchOperation::kInsertAfter;
      if (is_relative && !name.empty() && at < 0) return;
      Filter made;
      if (!read_patch(patch, made)) return;
      // "before" without a name means first, "after" last.
      const int to = is_relative && name.empty() && patch.operation == PatchOperation::kInsertAfter
                         ? filters.size() - 1
                         : at;
      insert_item(patch.operation, to, std::move(made), filters);
    }
  }
}

void patch_http(const Patch& patch, listener_v3::FilterChain& chain) {
  for (auto& filter : *chain.mutable_filters()) {
    if (filter.name() != kHttpManager) continue;
    if (patch.listener && !patch.listener->filter.empty() &&
        !same_filter(patch.listener->filter, filter.name())) {
      continue;
    }
    hcm_v3::HttpConnectionManager manager;
    if (!xds::unpack_into(filter.typed_config(), manager).ok()) continue;
    const std::string name = patch.listener ? patch.listener->sub_filter : "";
    patch_filters<hcm_v3::HttpFilter>(patch, name, *manager.mutable_http_filters());
    *filter.mutable_typed_config() = xds::pack(manager);
  }
}

template <typename Apply>
void each_chain(const Patch& patch, Listener& listener, Apply apply) {
  for (auto& chain : *listener.mutable_filter_chains()) {
    if (fits_chain(patch, listener, chain)) apply(chain);
  }
  if (listener.has_default_filter_chain() &&
      fits_chain(patch, listener, listener.default_filter_chain())) {
    apply(*listener.mutable_default_filter_chain());
  }
}

void patch_chains(const Patch& patch, Listener& listener) {
  if (patch.operation == PatchOperation::kAdd) {
    listener_v3::FilterChain made;
    if (read_patch(patch, made)) *listener.add_filter_chains() = std::move(made);
    return;
  }
  if (patch.operation == PatchOperation::kRemove) {
    auto& chains = *listener.mutable_filter_chains();
    for (int i = chains.size() - 1; i >= 0; --i) {
      if (fits_chain(patch, listener, chains[i])) chains.DeleteSubrange(i, 1);
    }
    return;
  }
  each_chain(patch, listener, [&](auto& chain) { merge_patch(patch, chain); });
}

void patch_one(const View& view, PatchContext context, Listener& listener) {
  for (const Patch* patch : patches_for(view, ApplyTo::kListener, context)) {
    if (is_merge(patch->operation) && fits_listener(*patch, listener)) {
      merge_patch(*patch, listener);
    }
  }
  for (const Patch* patch : patches_for(view, ApplyTo::kListenerFilter, context)) {
    if (!fits_listener(*patch, listener)) continue;
    patch_filters<listener_v3::ListenerFilter>(
        *patch, patch->listener ? patch->listener->listener_filter : "",
        *listener.mutable_listener_filters());
  }
  for (const Patch* patch : patches_for(view, ApplyTo::kFilterChain, context)) {
    if (fits_listener(*patch, listener)) patch_chains(*patch, listener);
  }
  for (const Patch* patch : patches_for(view, ApplyTo::kNetworkFilter, context)) {
    if (!fits_listener(*patch, listener)) continue;
    const std::string name = patch->listener ? patch->listener->filter : "";
    each_chain(*patch, listener, [&](auto& chain) {
      patch_filters<listener_v3::Filter>(*patch, name, *chain.mutable_filters());
    });
  }
  for (const Patch* patch : patches_for(view, ApplyTo::kHttpFilter, context)) {
    if (!fits_listener(*patch, listener)) continue;
    each_chain(*patch, listener, [&](auto& chain) { patch_http(*patch, chain); });
  }
}

bool has_route_patches(const View& view, PatchContext context) {
  for (const ApplyTo apply_to :
       {ApplyTo::kRouteConfiguration, ApplyTo::kVirtualHost, ApplyTo::kHttpRoute}) {
    if (!patches_for(view, apply_to, context).empty()) return true;
  }
  return false;
}

// Inbound routes are part of their listener.
void patch_inline_routes(const View& view, Listener& listener) {
  const auto apply = [&](listener_v3::FilterChain& chain) {
    for (auto& filter : *chain.mutable_filters()) {
      if (filter.name() != kHttpManager) continue;
      hcm_v3::HttpConnectionManager manager;
      if (!xds::unpack_into(filter.typed_config(), manager).ok() || !manager.has_route_config()) {
        continue;
      }
      patch_routes(view, *manager.mutable_route_config());
      *filter.mutable_typed_config() = xds::pack(manager);
    }
  };
  for (auto& chain : *listener.mutable_filter_chains()) apply(chain);
  if (listener.has_default_filter_chain()) apply(*listener.mutable_default_filter_chain());
}

}  // namespace

void patch_listeners(const View& view, std::vector<Listener>& listeners) {
  if (view.mesh.input().envoy_filters.empty()) return;
  const auto context_of = [&](const Listener& listener) {
    if (view.proxy.is_gateway()) return PatchContext::kGateway;
    return listener.traffic_direction() == envoy::config::core::v3::INBOUND
               ? PatchContext::kSidecarInbound
               : PatchContext::kSidecarOutbound;
  };
  const bool has_inline =
      !view.proxy.is_gateway() && has_route_patches(view, PatchContext::kSidecarInbound);
  for (Listener& listener : listeners) {
    const PatchContext context = context_of(listener);
    if (has_inline && context == PatchContext::kSidecarInbound) patch_inline_routes(view, listener);
    patch_one(view, context, listener);
  }
  const PatchContext own =
      view.proxy.is_gateway() ? PatchContext::kGateway : PatchContext::kSidecarOutbound;
  for (const Patch* patch : patches_for(view, ApplyTo::kListener, own)) {
    Listener made;
    if (patch->operation == PatchOperation::kAdd && read_patch(*patch, made)) {
      listeners.push_back(std::move(made));
    }
    if (patch->operation == PatchOperation::kRemove && patch->listener) {
      std::erase_if(listeners, [&](const Listener& l) { return fits_listener(*patch, l); });
    }
  }
}

}  // namespace lateen::discovery
