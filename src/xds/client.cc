// The two variants share subscriptions and answers; what differs is who works out what was removed:
// we do in state of the world, the server does in delta.

#include "xds/client.h"

#include "envoy/config/core/v3/base.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "xds/any.h"

namespace lateen::xds {
namespace {

namespace discovery = envoy::service::discovery::v3;

// Names of resources inside state-of-the-world responses, by the field each type keeps its name in.
std::string resource_name(const google::protobuf::Any& body) {
  const auto* type = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(
      body.type_url().substr(body.type_url().rfind('/') + 1));
  if (type == nullptr) return {};
  const auto* field = type->FindFieldByName("name");
  if (field == nullptr) field = type->FindFieldByName("cluster_name");
  if (field == nullptr || field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_STRING)
    return {};
  std::unique_ptr<google::protobuf::Message> message(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
  if (!message->ParseFromString(body.value())) return {};
  return message->GetReflection()->GetString(*message, field);
}

}  // namespace

Client::Client(Variant variant, const envoy::config::core::v3::Node& node, bool is_node_sent_once,
               OnUpdate on_update, Send send)
    : variant_(variant),
      node_(std::make_unique<envoy::config::core::v3::Node>(node)),
      is_node_sent_once_(is_node_sent_once),
      on_update_(std::move(on_update)),
      send_(std::move(send)) {}

Client::~Client() = default;

void Client::subscribe_all(std::string_view type_url) {
  const std::string type(type_url);
  auto [found, is_new] = subscriptions_.try_emplace(type);
  if (is_new) order_.push_back(type);
  if (found->second.is_wildcard) return;
  found->second.is_wildcard = true;
  announce(type, found->second);
}

void Client::subscribe(std::string_view type_url, const std::set<std::string>& names) {
  const std::string type(type_url);
  auto found = subscriptions_.find(type);
  if (found == subscriptions_.end()) {
    if (names.empty()) return;
    found = subscriptions_.try_emplace(type).first;
    order_.push_back(type);
  }
  Subscription& subscription = found->second;
  if (subscription.names == names) return;
  subscription.names = names;
  std::erase_if(subscription.held, [&](const auto& one) { return !names.contains(one.first); });
  announce(type, subscription);
}

void Client::on_stream_open() {
  is_open_ = true;
  is_node_sent_ = false;
  for (auto& [type, subscription] : subscriptions_) {
    subscription.announced.clear();
    subscription.is_announced = false;
    subscription.nonce.clear();
  }
  for (const auto& type : order_) announce(type, subscriptions_.find(type)->second);
}

template <typename Request>
void Client::send_request(Request& request) {
  if (!is_node_sent_ || !is_node_sent_once_) *request.mutable_node() = *node_;
  is_node_sent_ = true;
  send_(serialize(request));
}

// Tells the server what is wanted, when that differs from what it knows on this stream.
void Client::announce(const std::string& type_url, Subscription& subscription) {
  if (!is_open_) return;
  if (variant_ == Variant::kStateOfTheWorld) {
    if (!subscription.is_announced && !subscription.is_wildcard && subscription.names.empty())
      return;
    discovery::DiscoveryRequest request;
    request.set_type_url(type_url);
    request.set_version_info(subscription.version);
    request.set_response_nonce(subscription.nonce);
    for (const auto& name : subscription.names) request.add_resource_names(name);
    subscription.is_announced = true;
    send_request(request);
    return;
  }
  discovery::DeltaDiscoveryRequest request;
  request.set_type_url(type_url);
  for (const auto& name : subscription.names)
    if (!subscription.announced.contains(name)) request.add_resource_names_subscribe(name);
  for (const auto& name : subscription.announced)
    if (!subscription.names.contains(name)) request.add_resource_names_unsubscribe(name);
  const bool is_first = !subscription.is_announced;
  if (is_first && !subscription.is_wildcard && subscription.names.empty()) return;
  if (is_first) {
    for (const auto& [name, version] : subscription.held)
      (*request.mutable_initial_resource_versions())[name] = version;
  } else if (request.resource_names_subscribe().empty() &&
             request.resource_names_unsubscribe().empty()) {
    return;
  }
  subscription.announced = subscription.names;
  subscription.is_announced = true;
  send_request(request);
}

void Client::answer(const std::string& type_url, Subscription& subscription,
                    const std::string* error) {
  if (!is_open_) return;
  const auto finish = [&](auto& request) {
    request.set_type_url(type_url);
    request.set_response_nonce(subscription.nonce);
    if (error != nullptr) {
      request.mutable_error_detail()->set_code(static_cast<int>(Code::kInvalidArgument));
      request.mutable_error_detail()->set_message(*error);
    }
    send_request(request);
  };
  if (variant_ == Variant::kDelta) {
    discovery::DeltaDiscoveryRequest request;
    finish(request);
    return;
  }
  discovery::DiscoveryRequest request;
  request.set_version_info(subscription.version);
  for (const auto& name : subscription.names) request.add_resource_names(name);
  finish(request);
}

Result<> Client::on_message(std::string_view message) {
  return variant_ == Variant::kDelta ? on_delta(message) : on_sotw(message);
}

Result<> Client::on_sotw(std::string_view message) {
  discovery::DiscoveryResponse response;
  if (!response.ParseFromArray(message.data(), static_cast<int>(message.size())))
    return invalid("the management server sent bytes that are no DiscoveryResponse",
                   Blame::kUpstream);
  if (response.has_control_plane()) control_plane_ = response.control_plane().identifier();
  const auto found = subscriptions_.find(response.type_url());
  if (found == subscriptions_.end()) return {};  // Ended meanwhile.
  Subscription& subscription = found->second;

  Update update{response.type_url(), response.version_info(), {}, {}};
  std::map<std::string, std::string> seen;
  for (auto& body : *response.mutable_resources()) {
    Resource resource{resource_name(body), response.version_info(), {}};
    discovery::Resource wrapper;
    if (body.Is<discovery::Resource>() && body.UnpackTo(&wrapper)) {
      resource.name = wrapper.name();
      body = wrapper.resource();
    }
    if (resource.name.empty()) resource.name = resource_name(body);
    resource.body = std::move(body);
    seen[resource.name] = response.version_info();
    update.resources.push_back(std::move(resource));
  }
  // Clusters and listeners are complete in each response; of the other types a response may hold a
  // part.
  if (subscription.is_wildcard) {
    for (const auto& [name, version] : subscription.held)
      if (!seen.contains(name)) update.removed.push_back(name);
    subscription.held = std::move(seen);
  } else {
    for (auto& [name, version] : seen) subscription.held[name] = std::move(version);
  }
  subscription.nonce = response.nonce();
  deliver(subscription, update);
  return {};
}

Result<> Client::on_delta(std::string_view message) {
  discovery::DeltaDiscoveryResponse response;
  if (!response.ParseFromArray(message.data(), static_cast<int>(message.size())))
    return invalid("the management server sent bytes that are no DeltaDiscoveryResponse",
                   Blame::kUpstream);
  if (response.has_control_plane()) control_plane_ = response.control_plane().identifier();
  const auto found = subscriptions_.find(response.type_url());
  if (found == subscriptions_.end()) return {};
  Subscription& subscription = found->second;

  Update update{response.type_url(), response.system_version_info(), {}, {}};
  for (auto& one : *response.mutable_resources()) {
    if (!subscription.is_wildcard && !subscription.names.contains(one.name())) continue;
    subscription.held[one.name()] = one.version();
    update.resources.push_back({one.name(), one.version(), std::move(*one.mutable_resource())});
  }
  for (const auto& name : response.removed_resources()) {
    subscription.held.erase(name);
    update.removed.push_back(name);
  }
  subscription.nonce = response.nonce();
  deliver(subscription, update);
  return {};
}

void Client::deliver(Subscription& subscription, const Update& update) {
  const std::string type_url = update.type_url;
  const auto done = on_update_(update);
  if (done.ok()) subscription.version = update.version;
  const std::string* error = done.ok() ? nullptr : &done.error().message();
  answer(type_url, subscription, error);
}

}  // namespace lateen::xds
