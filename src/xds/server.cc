#include "xds/server.h"

#include <algorithm>

#include "base/strings.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "xds/any.h"
#include "xds/json.h"

// user_agent_build_version and build_version: read for old clients.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace lateen::xds {
namespace {

namespace discovery = envoy::service::discovery::v3;

void read_node(const envoy::config::core::v3::Node& node, ClientRequest& out) {
  out.has_node = !node.id().empty();
  out.node_id = node.id();
  out.node_cluster = node.cluster();
  out.metadata = struct_to_json(node.metadata());
  if (!node.locality().region().empty()) {
    out.locality = node.locality().region();
    if (!node.locality().zone().empty()) out.locality += "/" + node.locality().zone();
    if (!node.locality().sub_zone().empty()) out.locality += "/" + node.locality().sub_zone();
  }
  out.user_agent = node.user_agent_name();
  if (!node.user_agent_version().empty()) out.user_agent += " " + node.user_agent_version();
}

template <typename Strings>
std::vector<std::string> copy(const Strings& from) {
  return {from.begin(), from.end()};
}

// CDS and LDS without names mean everything; other types mean nothing then.
bool has_wildcard(std::string_view type_url) {
  return type_url == kClusterType || type_url == kListenerType || type_url == kNameTableType ||
         type_url.starts_with("type.googleapis.com/istio.");
}

std::string version_text(std::uint64_t version) { return std::to_string(version); }

}  // namespace

Result<ClientRequest> decode_request(Variant variant, std::string_view bytes) {
  ClientRequest out;
  const auto fail = [] {
    return invalid("discovery request: the bytes are no such message", Blame::kDownstream);
  };
  if (variant == Variant::kStateOfTheWorld) {
    discovery::DiscoveryRequest request;
    if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return fail();
    read_node(request.node(), out);
    out.type_url = request.type_url();
    out.nonce = request.response_nonce();
    if (request.has_error_detail()) out.error = request.error_detail().message();
    out.names = copy(request.resource_names());
    return out;
  }
  discovery::DeltaDiscoveryRequest request;
  if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return fail();
  read_node(request.node(), out);
  out.type_url = request.type_url();
  out.nonce = request.response_nonce();
  if (request.has_error_detail()) out.error = request.error_detail().message();
  out.subscribe = copy(request.resource_names_subscribe());
  out.unsubscribe = copy(request.resource_names_unsubscribe());
  for (const auto& [name, version] : request.initial_resource_versions()) {
    out.held.emplace_back(name, version);
  }
  return out;
}

const Watch* Session::find(std::string_view type_url) const {
  const auto found = watches_.find(type_url);
  return found == watches_.end() ? nullptr : &found->second;
}

Session::Outcome Session::on_request(const ClientRequest& request, WallTime now) {
  auto found = watches_.find(request.type_url);
  const bool is_new = found == watches_.end();
  const std::size_t names = request.names.size() + request.subscribe.size() + request.held.size();
  if ((is_new && watches_.size() >= kMostTypes) || names > kMostNames) {
    return {Kind::kRefused, false, {}};
  }
  if (is_new) {
    found = watches_.emplace(request.type_url, Watch{}).first;
    found->second.type_url = request.type_url;
  }
  Watch& watch = found->second;
  if (request.error && !request.nonce.empty()) {
    watch.nonce_rejected = request.nonce;
    watch.last_error = *request.error;
    // A NACK may carry new names; those are taken with the next request, but a delta NACK
    // subscribes as well.
    if (variant_ == Variant::kStateOfTheWorld || request.subscribe.empty()) {
      return {Kind::kNack, false, {}};
    }
  }
  const bool acks = !request.nonce.empty() && request.nonce == watch.nonce_sent && !request.error;
  if (acks) {
    watch.nonce_acked = request.nonce;
    watch.version_acked = watch.version_sent;
    watch.last_acked = now;
    watch.last_error.clear();
  }
  return variant_ == Variant::kStateOfTheWorld ? on_sotw(watch, is_new, request)
                                               : on_delta(watch, is_new, request);
}

Session::Outcome Session::on_sotw(Watch& watch, bool is_new, const ClientRequest& request) {
  const std::set<std::string> wanted(request.names.begin(), request.names.end());
  const bool is_first = is_new || request.nonce.empty();
  if (!is_first && request.nonce != watch.nonce_sent) return {Kind::kStale, false, {}};
  if (is_first) {
    // Also a client that starts over on this stream: whatever it was sent does not count.
    watch.is_wildcard = (wanted.empty() && has_wildcard(request.type_url)) || wanted.count("*") > 0;
    watch.names = wanted;
    watch.sent.clear();
    return {Kind::kSubscribe, watch.is_wildcard || !wanted.empty(), {}};
  }
  Outcome outcome{Kind::kAck, false, {}};
  for (const std::string& name : wanted) {
    if (watch.names.count(name) == 0) outcome.names.push_back(name);
  }
  std::erase_if(watch.sent, [&](const auto& entry) {
    return !watch.is_wildcard && wanted.count(entry.first) == 0;
  });
  watch.names = wanted;
  outcome.must_answer = !outcome.names.empty();
  if (outcome.must_answer) outcome.kind = Kind::kSubscribe;
  return outcome;
}

Session::Outcome Session::on_delta(Watch& watch, bool is_new, const ClientRequest& request) {
  if (is_new) {
    watch.is_wildcard = request.subscribe.empty() && has_wildcard(request.type_url);
    for (const auto& [name, version] : request.held) {
      watch.sent[name] = parse_uint(version).value_or(0);
    }
  }
  for (const std::string& name : request.unsubscribe) {
    watch.names.erase(name);
    if (name == "*") watch.is_wildcard = false;
    if (!watch.is_wildcard) watch.sent.erase(name);
  }
  Outcome outcome{Kind::kAck, false, {}};
  for (const std::string& name : request.subscribe) {
    if (name == "*") {
      watch.is_wildcard = true;
      outcome.must_answer = true;
      continue;
    }
    if (watch.names.size() >= kMostNames) return {Kind::kRefused, false, {}};
    watch.names.insert(name);
    // Asked for again is sent again, unless the client said on connecting that it holds it.
    if (!is_new) watch.sent.erase(name);
    outcome.names.push_back(name);
  }
  if (is_new) {
    outcome.kind = Kind::kSubscribe;
    outcome.must_answer = true;
    if (watch.is_wildcard) outcome.names.clear();
    return outcome;
  }
  outcome.must_answer |= !outcome.names.empty();
  if (outcome.must_answer) {
    outcome.kind = Kind::kSubscribe;
  } else if (!request.nonce.empty() && request.nonce != watch.nonce_sent) {
    outcome.kind = Kind::kStale;
  }
  return outcome;
}

std::optional<std::string> Session::respond(const Push& push, WallTime now) {
  const auto found = watches_.find(push.type_url);
  if (found == watches_.end()) return std::nullopt;
  Watch& watch = found->second;
  std::vector<const Served*> changed;
  std::vector<std::string> removed;
  for (const Served& resource : *push.resources) {
    if (!watch.wants(resource.name)) continue;
    const auto sent = watch.sent.find(resource.name);
    if (push.is_forced || sent == watch.sent.end() || sent->second != resource.version) {
      changed.push_back(&resource);
    }
  }
  if (push.extent == Extent::kComplete) {
    std::set<std::string_view> now_there;
    for (const Served& resource : *push.resources) now_there.insert(resource.name);
    for (const auto& [name, version] : watch.sent) {
      if (now_there.count(name) == 0) removed.push_back(name);
    }
    if (!watch.is_wildcard && variant_ == Variant::kDelta) {
      // A name that was asked for and is not there is said to be removed, once.
      for (const std::string& name : watch.names) {
        const bool is_told = watch.was_answered || now_there.count(name) > 0;
        if (!is_told && watch.sent.count(name) == 0) removed.push_back(name);
      }
    }
  }
  const bool is_first = !watch.was_answered;
  if (changed.empty() && removed.empty() && !is_first && !push.is_forced) return std::nullopt;
  last_changed_.clear();
  for (const Served* resource : changed) {
    watch.sent[resource->name] = resource->version;
    last_changed_.push_back(resource->name);
  }
  for (const std::string& name : removed) {
    watch.sent.erase(name);
    last_changed_.push_back(name);
  }
  watch.was_answered = true;
  watch.nonce_sent = push.nonce;
  watch.version_sent = push.version;
  watch.last_sent = now;
  std::string bytes;
  if (variant_ == Variant::kDelta) {
    bytes = encode_delta(push, changed, removed);
  } else if (watch.is_wildcard) {
    // A wildcard's response is the whole state.
    std::vector<const Served*> all;
    for (const Served& resource : *push.resources) all.push_back(&resource);
    bytes = encode_sotw(push, all);
  } else {
    bytes = encode_sotw(push, changed);
  }
  watch.bytes_sent = bytes.size();
  return bytes;
}

void Session::forget(std::string_view type_url, const std::vector<std::string>& names) {
  const auto found = watches_.find(type_url);
  if (found == watches_.end()) return;
  for (const std::string& name : names) found->second.sent.erase(name);
}

std::string Session::encode_sotw(const Push& push, const std::vector<const Served*>& send) {
  discovery::DiscoveryResponse response;
  response.set_version_info(push.version);
  response.set_type_url(std::string(push.type_url));
  response.set_nonce(push.nonce);
  if (!push.control_plane.empty()) {
    response.mutable_control_plane()->set_identifier(push.control_plane);
  }
  for (const Served* resource : send) {
    auto& any = *response.add_resources();
    any.set_type_url(std::string(push.type_url));
    any.set_value(*resource->body);
  }
  return response.SerializeAsString();
}

std::string Session::encode_delta(const Push& push, const std::vector<const Served*>& send,
                                  const std::vector<std::string>& removed) {
  discovery::DeltaDiscoveryResponse response;
  response.set_system_version_info(push.version);
  response.set_type_url(std::string(push.type_url));
  response.set_nonce(push.nonce);
  if (!push.control_plane.empty()) {
    response.mutable_control_plane()->set_identifier(push.control_plane);
  }
  for (const Served* resource : send) {
    auto& out = *response.add_resources();
    out.set_name(resource->name);
    out.set_version(version_text(resource->version));
    out.mutable_resource()->set_type_url(std::string(push.type_url));
    out.mutable_resource()->set_value(*resource->body);
  }
  for (const std::string& name : removed) response.add_removed_resources(name);
  return response.SerializeAsString();
}

}  // namespace lateen::xds
