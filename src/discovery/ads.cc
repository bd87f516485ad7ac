#include "discovery/ads.h"

#include <fmt/core.h>

#include "base/log.h"
#include "discovery/debug_resources.h"
#include "discovery/generate/names.h"
#include "xds/any.h"
#include "xds/wire.h"

namespace lateen::discovery {
namespace {

constexpr const char* kService = "/envoy.service.discovery.v3.AggregatedDiscoveryService/";
constexpr std::size_t kMostWaiting = 64;  // requests of a stream that is not authenticated yet
constexpr nanoseconds kPushTurn = milliseconds(1);
constexpr const char* kNotReady = "server is not ready to serve discovery information";
constexpr const char* kGoing = "this control plane is shutting down";
constexpr std::string_view kHealthType = "type.googleapis.com/istio.v1.HealthInformation";

// Istio's ProxyConfig, of which agents are told the roots to trust: ca_certificates_pem.
constexpr std::string_view kProxyConfigType = "type.googleapis.com/istio.mesh.v1alpha1.ProxyConfig";
constexpr int kRootsField = 34;

// In the order in which proxies need them: clusters before what refers to them.
constexpr std::string_view kPushOrder[] = {
    xds::kClusterType, xds::kEndpointType,  xds::kListenerType,  xds::kRouteType,
    xds::kSecretType,  xds::kExtensionType, xds::kNameTableType, kProxyConfigType};

std::string_view short_type(std::string_view type_url) {
  if (type_url == xds::kClusterType) return "cds";
  if (type_url == xds::kEndpointType) return "eds";
  if (type_url == xds::kListenerType) return "lds";
  if (type_url == xds::kRouteType) return "rds";
  if (type_url == xds::kSecretType) return "sds";
  if (type_url == xds::kExtensionType) return "ecds";
  if (type_url == xds::kNameTableType) return "nds";
  if (type_url == kProxyConfigType) return "pcds";
  return "other";
}

// {"Component":"istiod","ID":…,"Info":{…}}
std::string make_identifier(const Ads::Options& options) {
  const data::Json json = data::JsonObject{{"Component", "istiod"},
                                           {"ID", options.pod_name},
                                           {"Info", data::JsonObject{{"version", options.version},
                                                                     {"revision", options.revision},
                                                                     {"golang_version", "c++20"},
                                                                     {"status", "Clean"},
                                                                     {"tag", options.version}}}};
  return data::dump_json(json);
}

std::string type_label(std::string_view type_url) {
  return fmt::format("type=\"{}\"", short_type(type_url));
}

}  // namespace

struct Ads::Connection {
  Connection(xds::Variant variant, grpc::ServerCall& call, xds::Replies& replies)
      : session(variant, replies), call(&call) {}
  std::uint64_t number = 0;
  std::uint64_t carrier = 0;  // the HTTP connection
  std::string id;             // "sidecar~…-12"
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
  Catalog::Member member;
  std::optional<SteadyTime> pending_since;
  bool is_pending = false;     // a push is due
  bool is_config_due = false;  // of more than endpoints
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
      metrics_(metrics),
      identifier_(make_identifier(options_)) {}

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
  auto owned = std::make_unique<Connection>(variant, call, replies_);
  Connection& connection = *owned;
  connection.number = number;
  connection.door = door;
  connection.connected = clock_.wall();
  connection.peer = call.exchange().connection.remote.to_string();
  // Servers number their connections from one; zero is a connection of nobody's (tests).
  connection.carrier = call.exchange().connection.id * 2 + (door == Door::kTls ? 1 : 0);
  const std::size_t beside = connection.carrier < 2 ? 0 : ++streams_of_[connection.carrier];
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
  if (is_draining_) {
    event::after(connection.scope, loop_, nanoseconds(0),
                 [&connection] { connection.finish(Code::kUnavailable, kGoing); });
  } else if (connections_.size() > options_.most_streams ||
             beside > options_.most_streams_of_connection) {
    event::after(connection.scope, loop_, nanoseconds(0), [this, &connection] {
      refuse(connection, Code::kResourceExhausted, "too many discovery streams");
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
    if (!is_ready()) {
      event::after(connection.scope, loop_, nanoseconds(0),
                   [this, &connection] { refuse(connection, Code::kUnavailable, kNotReady); });
      return;
    }
    // Peers trust certificates of other trust domains, if they are told to; who names a node of
    // this mesh must be of this mesh.
    const std::string own = "spiffe://" + snapshot()->mesh().trust_domain + "/";
    for (const std::string& uri : tls->peer_uri_sans) {
      if (uri.starts_with(own)) credentials.peer_uris.push_back(uri);
    }
  }
  authenticator_->authenticate(
      connection.scope, loop_, std::move(credentials),
      [this, &connection](Result<Identity> identity) {
        if (!identity.ok()) {
          return refuse(connection,
                        identity.error().code() == Code::kUnavailable ? Code::kUnavailable
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

// Every stream that is ended for what it did is counted and named.
void Ads::refuse(Connection& connection, Code code, std::string why) {
  if (connection.is_finished) return;
  metrics_.count("pilot_total_xds_internal_errors");
  LOG(kWarn, "ads", "{}: stream from {} refused: {}",
      connection.id.empty() ? "a stream without node" : connection.id, connection.peer, why);
  connection.finish(code, std::move(why));
}

void Ads::close(std::uint64_t id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  LOG(kInfo, "ads", "{} disconnected ({})",
      found->second->id.empty() ? "a stream without node" : found->second->id, found->second->peer);
  if (found->second->proxy && !found->second->proxy->id.empty() && presence_) {
    presence_(*found->second->proxy, false);
  }
  if (found->second->is_draining) note_unread(-1);
  const auto beside = streams_of_.find(found->second->carrier);
  if (beside != streams_of_.end() && --beside->second == 0) streams_of_.erase(beside);
  connections_.erase(found);
  metrics_.set("pilot_xds", static_cast<double>(connections_.size()),
               fmt::format("version=\"{}\"", options_.version));
}

void Ads::on_message(Connection& connection, std::string bytes) {
  if (connection.is_finished) return;
  if (!connection.is_authenticated) {
    if (connection.waiting.size() >= kMostWaiting) {
      return refuse(connection, Code::kResourceExhausted,
                    "too many requests before authentication");
    }
    connection.waiting.push_back(std::move(bytes));
    return;
  }
  auto request =
      xds::decode_request(connection.session.variant(), std::move(bytes), &connection.session);
  if (!request.ok()) {
    return refuse(connection, Code::kInvalidArgument, request.error().message());
  }
  handle(connection, *request);
}

bool Ads::accept_node(Connection& connection, const xds::ClientRequest& request) {
  if (!request.has_node) {
    refuse(connection, Code::kInvalidArgument, "the first request must say which node asks");
    return false;
  }
  auto proxy = read_proxy(request.node_id, request.metadata, request.locality);
  if (!proxy.ok()) {
    refuse(connection, Code::kInvalidArgument, proxy.error().message());
    return false;
  }
  const auto& identity = connection.identity;
  const std::string_view account = proxy->meta("SERVICE_ACCOUNT");
  const bool fits = !identity || (identity->ns == proxy->ns &&
                                  (account.empty() || account == identity->service_account));
  if (!fits) {
    refuse(connection, Code::kPermissionDenied,
           fmt::format("no identities of {}/{} match node {} of namespace {}", identity->ns,
                       identity->service_account, proxy->name, proxy->ns));
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
    return refuse(connection, Code::kUnavailable, kNotReady);
  }
  // A tool that asks is no proxy, whatever node it says it is: what it asks for later as a proxy is
  // to prove who it is.
  if (is_debug_type(request.type_url)) return answer_debug(connection, request);
  if (!connection.proxy && !accept_node(connection, request)) return;
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
      return refuse(connection, Code::kResourceExhausted, "too many subscriptions");
    case Kind::kStale:
      metrics_.count("pilot_xds_expired_nonce", type_label(request.type_url));
      return;
    case Kind::kAck:
    case Kind::kSubscribe: break;
  }
  if (outcome.must_answer) answer(connection, request.type_url, outcome.names);
}

std::string Ads::next_nonce() { return fmt::format("{}-{}", snapshot()->version(), next_push_++); }

// To a request: for these names, or for all that the stream asked for.
void Ads::answer(Connection& connection, std::string_view type_url,
                 const std::vector<std::string>& names) {
  if (connection.is_finished || must_wait(connection)) return;
  using Extent = xds::Session::Extent;
  catalog_.classify(*connection.proxy, connection.member);
  if (names.empty()) {
    const auto all = connection.session.names_of(type_url);
    send(connection, type_url, resources(connection, type_url, all), Extent::kComplete);
    return;
  }
  const auto some = replies_.names().take({names.begin(), names.end()});
  send(connection, type_url, catalog_.resources(*connection.member.kind, type_url, some, false),
       Extent::kPartial);
}

bool Ads::send(Connection& connection, std::string_view type_url, xds::ResourcesPtr resources,
               xds::Session::Extent extent) {
  const std::size_t count = resources->size();
  auto bytes = connection.session.respond(
      {type_url, std::move(resources), extent, snapshot()->version(), next_nonce(), identifier_},
      clock_.wall());
  if (!bytes) return false;
  metrics_.count("pilot_xds_pushes", type_label(type_url));
  LOG(kDebug, "ads", "{}: {} {} resources, {} bytes", short_type(type_url), connection.id, count,
      bytes->size());
  connection.call->send(*std::move(bytes));
  return true;
}

// The client does not read what it was sent: the next it gets is what is true when it has.
bool Ads::must_wait(Connection& connection) {
  if (connection.is_draining) return true;
  if (connection.call->pending_bytes() <= options_.most_pending_bytes) return false;
  connection.is_draining = true;
  connection.is_pending = true;
  note_unread(1);
  connection.call->on_drained([this, number = connection.number] {
    const auto found = connections_.find(number);
    if (found == connections_.end() || !found->second->is_draining) return;
    found->second->is_draining = false;
    note_unread(-1);
    enqueue(*found->second);
  });
  return true;
}

// Streams whose clients have yet to read what they were sent.
void Ads::note_unread(int more) {
  unread_ += more;
  metrics_.set("lateen_xds_unread_streams", unread_);
}

void Ads::answer_debug(Connection& connection, const xds::ClientRequest& request) {
  if (connection.door == Door::kTls && options_.checks_identity && !connection.identity) {
    return connection.finish(Code::kUnauthenticated, "authentication required");
  }
  const bool is_privileged =
      !connection.identity || connection.identity->ns == options_.system_namespace;
  // An acknowledgement of the answer asks nothing. (A stock istioctl's first request has a nonce.)
  if (!connection.debug_nonce.empty() && request.nonce == connection.debug_nonce) return;
  if (!is_privileged) {
    return connection.finish(Code::kPermissionDenied,
                             "debug information is for the control plane's namespace");
  }
  std::string name = request.subscribe.empty() ? "" : request.subscribe.front();
  if (!request.names.empty()) name = request.names.front();
  connection.debug_nonce = next_nonce();
  auto response = make_debug_response(*this, request.type_url, name,
                                      connection.session.variant() == xds::Variant::kDelta,
                                      connection.debug_nonce, debug_);
  if (!response.ok()) return connection.finish(response.error().code(), response.error().message());
  connection.call->send(*std::move(response));
}

void Ads::publish(SnapshotPtr snapshot, Impact impact, SteadyTime since) {
  const bool is_first = !is_ready();
  catalog_.update(std::move(snapshot), impact.is_full ? nullptr : &impact.hosts);
  replies_.clear();
  if (is_first || impact.empty()) return;
  metrics_.count("pilot_push_triggers", fmt::format("type=\"{}\"", impact.reason));
  for (auto& [number, connection] : connections_) {
    if (!connection->proxy || connection->session.watches().empty()) continue;
    if (!connection->pending_since) connection->pending_since = since;
    connection->is_config_due |= impact.is_full;
    enqueue(*connection);
  }
}

xds::ResourcesPtr Ads::resources(Connection& connection, std::string_view type_url,
                                 const xds::NamesPtr& names) {
  if (type_url == kProxyConfigType) return trust_;
  return catalog_.resources(*connection.member.kind, type_url, names);
}

void Ads::set_trust_bundle(const std::vector<std::string>& roots) {
  xds::Served config;
  std::string body;
  for (const std::string& root : roots) xds::wire::put_bytes(body, kRootsField, root);
  config.version = fnv1a64(body);
  config.body = std::make_shared<const std::string>(std::move(body));
  if (!trust_->empty() && trust_->front()->version == config.version) return;
  auto made = std::make_shared<const xds::Served>(std::move(config));
  trust_ = std::make_shared<const xds::Resources>(xds::Resources{std::move(made)});
  for (auto& [number, connection] : connections_) {
    if (connection->session.find(kProxyConfigType) != nullptr) enqueue(*connection);
  }
}

void Ads::push_all() {
  for (auto& [number, connection] : connections_) {
    if (connection->proxy) enqueue(*connection);
  }
}

void Ads::drain(nanoseconds span, Function<void()> done) {
  drained_ = std::move(done);
  if (std::exchange(is_draining_, true)) return;
  LOG(kInfo, "ads", "draining {} streams", connections_.size());
  drain_next(span / static_cast<std::int64_t>(std::max<std::size_t>(1, connections_.size())));
}

// The oldest first. They are closed by their ends, when what they were sent is on the wire.
void Ads::drain_next(nanoseconds pause) {
  for (auto& [number, connection] : connections_) {
    if (connection->is_finished) continue;
    connection->finish(Code::kUnavailable, kGoing);
    event::after(scope_, loop_, pause, [this, pause] { drain_next(pause); });
    return;
  }
  if (drained_) std::exchange(drained_, nullptr)();
}

void Ads::enqueue(Connection& connection) {
  connection.is_pending = true;
  if (connection.is_queued || connection.is_draining) return;
  connection.is_queued = true;
  queue_.push_back(connection.number);
  if (is_pushing_) return;
  is_pushing_ = true;
  event::after(scope_, loop_, nanoseconds(0), [this] { push_next(); });
}

// As many as a millisecond holds, so that requests and other work get in between.
void Ads::push_next() {
  const SteadyTime until = clock_.steady() + kPushTurn;
  do {
    if (queue_.empty()) break;
    const std::uint64_t number = queue_.front();
    queue_.pop_front();
    const auto found = connections_.find(number);
    if (found == connections_.end()) continue;
    found->second->is_queued = false;
    push(*found->second);
  } while (clock_.steady() < until);
  if (queue_.empty()) {
    is_pushing_ = false;
    return;
  }
  event::after(scope_, loop_, nanoseconds(0), [this] { push_next(); });
}

void Ads::push(Connection& connection) {
  if (connection.is_finished || must_wait(connection)) return;
  connection.is_pending = connection.is_config_due = false;
  const SteadyTime started = clock_.steady();
  catalog_.classify(*connection.proxy, connection.member);
  for (const std::string_view type : kPushOrder) push_type(connection, type);
  const SteadyTime ended = clock_.steady();
  metrics_.observe("pilot_xds_push_time", ended - started);
  if (const auto since = std::exchange(connection.pending_since, std::nullopt)) {
    metrics_.observe("pilot_proxy_convergence_time", ended - *since);
    metrics_.observe("pilot_proxy_queue_time", started - *since);
  }
}

void Ads::push_type(Connection& connection, std::string_view type_url) {
  const xds::Watch* watch = connection.session.find(type_url);
  if (watch == nullptr || !watch->wants_any()) return;
  const auto names = connection.session.names_of(type_url);
  auto all = resources(connection, type_url, names);
  if (!send(connection, type_url, std::move(all), xds::Session::Extent::kComplete)) return;
  // A changed cluster starts anew in the proxy and waits for its endpoints.
  if (type_url == xds::kClusterType) {
    connection.session.forget(xds::kEndpointType, connection.session.last_changed());
  }
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
    bool is_current = !connection->is_config_due;
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

}  // namespace lateen::discovery
