#include "discovery/ads.h"

#include <fmt/core.h>

#include "base/log.h"
#include "discovery/debug_resources.h"
#include "discovery/generate/names.h"
#include "xds/any.h"

namespace lateen::discovery {
namespace {

constexpr const char* kService = "/envoy.service.discovery.v3.AggregatedDiscoveryService/";
constexpr std::size_t kMostWaiting = 64;  // requests of a stream that is not authenticated yet
constexpr std::string_view kHealthType = "type.googleapis.com/istio.v1.HealthInformation";

// In the order in which proxies need them: clusters before what refers to them.
constexpr std::string_view kPushOrder[] = {
    xds::kClusterType, xds::kEndpointType,  xds::kListenerType, xds::kRouteType,
    xds::kSecretType,  xds::kExtensionType, xds::kNameTableType};

std::string_view short_type(std::string_view type_url) {
  if (type_url == xds::kClusterType) return "cds";
  if (type_url == xds::kEndpointType) return "eds";
  if (type_url == xds::kListenerType) return "lds";
  if (type_url == xds::kRouteType) return "rds";
  if (type_url == xds::kSecretType) return "sds";
  if (type_url == xds::kExtensionType) return "ecds";
  if (type_url == xds::kNameTableType) return "nds";
  return "other";
}

std::string type_label(std::string_view type_url) {
  return fmt::format("type=\"{}\"", short_type(type_url));
}

}  // namespace

struct Ads::Connection {
  Connection(xds::Variant variant, grpc::ServerCall& call) : session(variant), call(&call) {}
  std::uint64_t number = 0;
  std::string id;  // "sidecar~…-12"
  Door door = Door::kPlain;
  xds::Session session;
  grpc::ServerCall* call;
  std::string peer;
  WallTime connected{};
  std::optional<Proxy> proxy;
  std::optional<Identity> identity;
  bool is_authenticated = false;
  bool is_finished = false;
  std::vector<std::string> waiting;
  std::string debug_nonce;  // of the last answer to a tool
  Impact pending;
  std::optional<SteadyTime> pending_since;
  bool is_queued = false;
  bool is_draining = false;  // waits for the client to read what it was sent
  event::Scope scope;

  void finish(Code code, std::string message) {
    if (is_finished) return;
    is_finished = true;
    call->finish(code, std::move(message));
  }
};

Ads::Ads(event::Loop& loop, const Clock& clock, Options options, Authenticator* authenticator,
         Metrics& metrics)
    : loop_(loop),
      clock_(clock),
      options_(std::move(options)),
      authenticator_(authenticator),
      metrics_(metrics) {}

Ads::~Ads() = default;

void Ads::attach(grpc::Service& service, Door door) {
  const std::string base = kService;
  service.add(base + "StreamAggregatedResources", [this, door](grpc::ServerCall& call) {
    return open(call, xds::Variant::kStateOfTheWorld, door);
  });
  service.add(base + "DeltaAggregatedResources", [this, door](grpc::ServerCall& call) {
    return open(call, xds::Variant::kDelta, door);
  });
}

grpc::CallEvents Ads::open(grpc::ServerCall& call, xds::Variant variant, Door door) {
  const std::uint64_t number = next_id_++;
  auto owned = std::make_unique<Connection>(variant, call);
  Connection& connection = *owned;
  connection.number = number;
  connection.door = door;
  connection.connected = clock_.wall();
  connection.peer = call.exchange().connection.remote.to_string();
  connections_.emplace(number, std::move(owned));
  metrics_.set("pilot_xds", static_cast<double>(connections_.size()),
               fmt::format("version=\"{}\"", options_.version));
  grpc::CallEvents events;
  events.on_message = [this, number](std::string message) {
    const auto found = connections_.find(number);
    if (found != connections_.end()) on_message(*found->second, std::move(message));
  };
  events.on_half_close = [this, number] {
    const auto found = connections_.find(number);
    if (found != connections_.end()) found->second->finish(Code::kOk, "");
  };
  events.on_end = [this, number] { close(number); };
  if (connections_.size() > options_.most_streams) {
    event::after(connection.scope, loop_, nanoseconds(0), [&connection] {
      connection.finish(Code::kResourceExhausted, "too many discovery streams");
    });
  } else {
    authenticate(connection);
  }
  return events;
}

void Ads::authenticate(Connection& connection) {
  if (connection.door == Door::kPlain || authenticator_ == nullptr || !options_.checks_identity) {
    connection.is_authenticated = true;
    return;
  }
  Credentials credentials;
  std::string_view header = connection.call->metadata("authorization");
  if (header.size() > 7 && iequals(header.substr(0, 7), "bearer ")) {
    credentials.token = header.substr(7);
  }
  if (const net::TlsInfo* tls = connection.call->exchange().connection.tls) {
    credentials.peer_uris = tls->peer_uri_sans;
  }
  authenticator_->authenticate(connection.scope, loop_, std::move(credentials),
                               [this, &connection](Result<Identity> identity) {
                                 if (!identity.ok()) {
                                   metrics_.count("pilot_total_xds_internal_errors");
                                   LOG(kWarn, "ads", "stream from {} refused: {}", connection.peer,
                                       identity.error().message());
                                   return connection.finish(
                                       identity.error().code() == Code::kUnavailable
                                           ? Code::kUnavailable
                                           : Code::kUnauthenticated,
                                       "authentication failure: " + identity.error().message());
                                 }
                                 connection.identity = *std::move(identity);
                                 connection.is_authenticated = true;
                                 for (std::string& bytes : std::exchange(connection.waiting, {})) {
                                   on_message(connection, std::move(bytes));
                                 }
                               });
}

void Ads::close(std::uint64_t id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  LOG(kInfo, "ads", "{} disconnected ({})",
      found->second->id.empty() ? "a stream without node" : found->second->id, found->second->peer);
  if (found->second->proxy && !found->second->proxy->id.empty() && presence_) {
    presence_(*found->second->proxy, false);
  }
  connections_.erase(found);
  metrics_.set("pilot_xds", static_cast<double>(connections_.size()),
               fmt::format("version=\"{}\"", options_.version));
}

void Ads::on_message(Connection& connection, std::string bytes) {
  if (connection.is_finished) return;
  if (!connection.is_authenticated) {
    if (connection.waiting.size() >= kMostWaiting) {
      return connection.finish(Code::kResourceExhausted, "too many requests before authentication");
    }
    connection.waiting.push_back(std::move(bytes));
    return;
  }
  auto request = xds::decode_request(connection.session.variant(), bytes);
  if (!request.ok()) {
    return connection.finish(Code::kInvalidArgument, request.error().message());
  }
  handle(connection, *request);
}

bool Ads::accept_node(Connection& connection, const xds::ClientRequest& request) {
  if (!request.has_node) {
    connection.finish(Code::kInvalidArgument, "the first request must say which node asks");
    return false;
  }
  auto proxy = read_proxy(request.node_id, request.metadata, request.locality);
  if (!proxy.ok()) {
    connection.finish(Code::kInvalidArgument, proxy.error().message());
    return false;
  }
  const auto& identity = connection.identity;
  const std::string_view account = proxy->meta("SERVICE_ACCOUNT");
  const bool fits = !identity || (identity->ns == proxy->ns &&
                                  (account.empty() || account == identity->service_account));
  if (!fits) {
    connection.finish(Code::kPermissionDenied,
                      fmt::format("no identities of {}/{} match node {} of namespace {}",
                                  identity->ns, identity->service_account, proxy->name, proxy->ns));
    return false;
  }
  if (identity) proxy->service_account = identity->service_account;
  if (is_ready()) proxy->trust_domain = snapshot()->mesh().trust_domain;
  proxy->is_verified = identity.has_value();
  proxy->envoy_version = request.user_agent;
  connection.proxy = *std::move(proxy);
  connection.id = fmt::format("{}-{}", connection.proxy->name, connection.number);
  LOG(kInfo, "ads", "{} connected: {} from {}", connection.id, request.node_id, connection.peer);
  if (presence_) presence_(*connection.proxy, true);
  return true;
}

void Ads::handle(Connection& connection, const xds::ClientRequest& request) {
  if (!is_ready()) {
    return connection.finish(Code::kUnavailable,
                             "server is not ready to serve discovery information");
  }
  if (!connection.proxy) {
    if (is_debug_type(request.type_url) && request.node_id.empty()) {
      connection.proxy.emplace();  // a tool that asks, not a proxy
    } else if (is_debug_type(request.type_url)) {
      auto proxy = read_proxy(request.node_id, request.metadata, request.locality);
      connection.proxy = proxy.ok() ? *std::move(proxy) : Proxy{};
      connection.proxy->is_verified = connection.identity.has_value();
    } else if (!accept_node(connection, request)) {
      return;
    }
  }
  if (is_debug_type(request.type_url)) return answer_debug(connection, request);
  if (request.type_url == kHealthType) {
    if (health_) health_(*connection.proxy, request.error.value_or(""));
    return;
  }
  const auto outcome = connection.session.on_request(request, clock_.wall());
  using Kind = xds::Session::Kind;
  switch (outcome.kind) {
    case Kind::kNack:
      metrics_.count("pilot_total_xds_rejects", type_label(request.type_url));
      metrics_.count(fmt::format("pilot_xds_{}_reject", short_type(request.type_url)));
      LOG(kWarn, "ads", "{}: {} REJECTED by the proxy: {}", connection.id,
          short_type(request.type_url), request.error.value_or(""));
      return;
    case Kind::kRefused:
      return connection.finish(Code::kResourceExhausted, "too many subscriptions");
    case Kind::kStale:
      metrics_.count("pilot_xds_expired_nonce", type_label(request.type_url));
      return;
    case Kind::kAck:
    case Kind::kSubscribe: break;
  }
  if (!outcome.must_answer) return;
  const bool is_all = outcome.names.empty();
  answer(connection, request.type_url, {outcome.names.begin(), outcome.names.end()},
         is_all ? xds::Session::Extent::kComplete : xds::Session::Extent::kPartial);
}

std::string Ads::next_nonce() { return fmt::format("{}-{}", snapshot()->version(), next_push_++); }

void Ads::answer(Connection& connection, std::string_view type_url,
                 const std::set<std::string>& names, xds::Session::Extent extent) {
  const xds::Watch* watch = connection.session.find(type_url);
  if (watch == nullptr || connection.is_finished) return;
  static const std::set<std::string> kAll;
  const bool is_partial = extent == xds::Session::Extent::kPartial;
  const auto resources = generator_->share(*connection.proxy, type_url,
                                           is_partial           ? names
                                           : watch->is_wildcard ? kAll
                                                                : watch->names);
  auto bytes = connection.session.respond(
      {type_url, resources.get(), extent, snapshot()->version(), next_nonce(), identifier()},
      clock_.wall());
  if (!bytes) return;
  metrics_.count("pilot_xds_pushes", type_label(type_url));
  LOG(kDebug, "ads", "{}: {} {} resources, {} bytes", short_type(type_url), connection.id,
      resources->size(), bytes->size());
  connection.call->send(*std::move(bytes));
}

void Ads::answer_debug(Connection& connection, const xds::ClientRequest& request) {
  if (connection.door == Door::kTls && options_.checks_identity && !connection.identity) {
    return connection.finish(Code::kUnauthenticated, "authentication required");
  }
  const bool is_privileged =
      !connection.identity || connection.identity->ns == options_.system_namespace;
  const auto& names = request.names.empty() ? request.subscribe : request.names;
  // An acknowledgement of the answer asks nothing. (A stock istioctl's first request has a nonce.)
  if (!connection.debug_nonce.empty() && request.nonce == connection.debug_nonce) return;
  if (!is_privileged) {
    return connection.finish(Code::kPermissionDenied,
                             "debug information is for the control plane's namespace");
  }
  const std::string name = names.empty() ? "" : names.front();
  connection.debug_nonce = next_nonce();
  auto response = make_debug_response(*this, request.type_url, name,
                                      connection.session.variant() == xds::Variant::kDelta,
                                      connection.debug_nonce, debug_);
  if (!response.ok()) return connection.finish(response.error().code(), response.error().message());
  connection.call->send(*std::move(response));
}

void Ads::publish(SnapshotPtr snapshot, Impact impact, SteadyTime since) {
  const bool is_first = !is_ready();
  generator_ = std::make_unique<Generator>(std::move(snapshot));
  if (is_first || impact.empty()) return;
  metrics_.count("pilot_push_triggers", fmt::format("type=\"{}\"", impact.reason));
  for (auto& [number, connection] : connections_) {
    if (!connection->proxy || connection->session.watches().empty()) continue;
    if (!connection->pending_since) connection->pending_since = since;
    enqueue(*connection, impact);
  }
}

void Ads::push_all() {
  Impact everything;
  everything.is_full = true;
  everything.reason = "debug";
  for (auto& [number, connection] : connections_) {
    if (connection->proxy) enqueue(*connection, everything);
  }
}

void Ads::enqueue(Connection& connection, const Impact& impact) {
  connection.pending.add(impact);
  if (connection.is_queued || connection.is_draining) return;
  connection.is_queued = true;
  queue_.push_back(connection.number);
  if (is_pushing_) return;
  is_pushing_ = true;
  event::after(scope_, loop_, nanoseconds(0), [this] { push_next(); });
}

// One proxy a turn, so that requests and other work get in between.
void Ads::push_next() {
  while (!queue_.empty()) {
    const std::uint64_t number = queue_.front();
    queue_.pop_front();
    const auto found = connections_.find(number);
    if (found == connections_.end()) continue;
    found->second->is_queued = false;
    push(*found->second);
    break;
  }
  if (queue_.empty()) {
    is_pushing_ = false;
    return;
  }
  event::after(scope_, loop_, nanoseconds(0), [this] { push_next(); });
}

void Ads::push(Connection& connection) {
  if (connection.is_finished) return;
  if (connection.call->pending_bytes() > options_.most_pending_bytes) {
    connection.is_draining = true;
    connection.call->on_drained([this, number = connection.number] {
      const auto found = connections_.find(number);
      if (found == connections_.end()) return;
      found->second->is_draining = false;
      enqueue(*found->second, {});
    });
    return;
  }
  const Impact impact = std::exchange(connection.pending, {});
  const SteadyTime started = clock_.steady();
  if (impact.is_full) {
    for (const std::string_view type : kPushOrder) push_type(connection, type);
  } else {
    if (!impact.hosts.empty()) push_endpoints(connection, impact.hosts);
    if (!impact.secrets.empty()) push_secrets(connection, impact.secrets);
  }
  const SteadyTime ended = clock_.steady();
  metrics_.observe("pilot_xds_push_time", ended - started);
  if (const auto since = std::exchange(connection.pending_since, std::nullopt)) {
    metrics_.observe("pilot_proxy_convergence_time", ended - *since);
    metrics_.observe("pilot_proxy_queue_time", started - *since);
  }
}

void Ads::push_type(Connection& connection, std::string_view type_url) {
  const xds::Watch* watch = connection.session.find(type_url);
  if (watch == nullptr || (!watch->is_wildcard && watch->names.empty())) return;
  const std::string before = watch->nonce_sent;
  answer(connection, type_url, {}, xds::Session::Extent::kComplete);
  // A changed cluster starts anew in the proxy and waits for its endpoints.
  if (type_url == xds::kClusterType && watch->nonce_sent != before) {
    connection.session.forget(xds::kEndpointType, connection.session.last_changed());
  }
}

void Ads::push_endpoints(Connection& connection, const std::set<std::string>& hosts) {
  const xds::Watch* watch = connection.session.find(xds::kEndpointType);
  if (watch == nullptr) return;
  std::set<std::string> names;
  // By their ends, "…|HOST": a look at each name of each proxy must cost nothing.
  for (const std::string& name : watch->names) {
    const std::size_t bar = name.rfind('|');
    if (bar == std::string::npos) continue;
    const std::string_view host = std::string_view(name).substr(bar + 1);
    const bool is_changed =
        hosts.size() == 1 ? host == *hosts.begin() : hosts.count(std::string(host)) > 0;
    if (is_changed) names.insert(name);
  }
  if (!names.empty()) {
    answer(connection, xds::kEndpointType, names, xds::Session::Extent::kPartial);
  }
}

void Ads::push_secrets(Connection& connection, const std::set<std::string>& secrets) {
  const xds::Watch* watch = connection.session.find(xds::kSecretType);
  if (watch == nullptr) return;
  std::set<std::string> names;
  for (const std::string& name : watch->names) {
    for (const std::string& secret : secrets) {
      const std::string bare = secret.substr(secret.find('/') + 1);
      if (name.find(bare) != std::string::npos) names.insert(name);
    }
  }
  if (!names.empty()) answer(connection, xds::kSecretType, names, xds::Session::Extent::kPartial);
}

std::vector<Ads::Stream> Ads::streams() const {
  std::vector<Stream> out;
  for (const auto& [number, connection] : connections_) {
    out.push_back({connection->id, connection->proxy, connection->peer, connection->connected,
                   &connection->session});
  }
  return out;
}

Ads::Distribution Ads::distribution() const {
  Distribution out;
  for (const auto& [number, connection] : connections_) {
    if (!connection->proxy || connection->proxy->id.empty()) continue;
    if (connection->session.watches().empty()) continue;
    ++out.total;
    // Endpoints come and go all the time; it is about config.
    bool is_current = !connection->pending.is_full;
    for (const auto& [type, watch] : connection->session.watches()) {
      if (type == xds::kEndpointType) continue;
      is_current = is_current && (watch.nonce_sent.empty() || watch.is_synced());
    }
    out.current += is_current ? 1 : 0;
  }
  return out;
}

const Proxy* Ads::find_proxy(std::string_view id) const {
  for (const auto& [number, connection] : connections_) {
    if (!connection->proxy) continue;
    const Proxy& proxy = *connection->proxy;
    if (proxy.id == id || proxy.name == id || proxy.pod == id || connection->id == id)
      return &proxy;
  }
  return nullptr;
}

std::string Ads::identifier() const {
  const data::Json json =
      data::JsonObject{{"Component", "istiod"},
                       {"ID", options_.pod_name},
                       {"Info", data::JsonObject{{"version", options_.version},
                                                 {"revision", options_.revision},
                                                 {"golang_version", "c++20"},
                                                 {"status", "Clean"},
                                                 {"tag", options_.version}}}};
  return data::dump_json(json);
}

}  // namespace lateen::discovery
