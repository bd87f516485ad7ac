// Debounces as the ingest does, in virtual time; the watching kind lends the real one.
#include "control_plane.h"

#include <condition_variable>
#include <mutex>

#include "ca/token_reviewer.h"
#include "discovery/ingest.h"
#include "kube/memory_server.h"
#include "mesh/kinds.h"

namespace lateen::mesh_test {

namespace {
constexpr milliseconds kDebounce{5};
constexpr seconds kPatience{30};  // of real time, for the ingest's threads
}  // namespace

// Proxies are who their certificate says.
class ControlPlane::ByUri final : public discovery::Authenticator {
 public:
  void authenticate(event::Scope& scope, event::Loop& loop, discovery::Credentials credentials,
                    event::Completion<discovery::Identity> done) override {
    Result<discovery::Identity> found =
        Error(Code::kUnauthenticated, "no certificate with a SPIFFE identity");
    for (const std::string& uri : credentials.peer_uris) {
      if (auto caller = ca::parse_spiffe(uri); caller.ok())
        found = discovery::Identity{caller->ns, caller->service_account};
    }
    event::after(
        scope, loop, nanoseconds(0),
        [done = std::move(done), found = std::move(found)]() mutable { done(std::move(found)); });
  }
};

// The ingest's side: its threads leave snapshots here, sync() takes them.
class ControlPlane::Watched {
 public:
  Watched(discovery::Metrics& metrics)
      : server_(resources()),
        client_(server_.transport()),
        ingest_(client_, clock_, options(), metrics, [this](auto snapshot, auto impact, auto) {
          const std::lock_guard lock(mutex_);
          snapshots_.emplace_back(std::move(snapshot), std::move(impact));
          changed_.notify_all();
        }) {
    ingest_.on_change([this](const data::Json& object, bool) {
      const std::lock_guard lock(mutex_);
      seen_[name_of(object)] = kube::resource_version_of(object);
      changed_.notify_all();
    });
  }

  void put(const data::Json& object) {
    data::Json stored = object;
    // An API server converts to the version that is watched.
    const auto slash = kube::api_version_of(object).find('/');
    const std::string group(kube::api_version_of(object).substr(0, slash));
    if (const mesh::Kind* kind = mesh::find_kind(kube::kind_of(object), group))
      data::set(stored, {"apiVersion"}, data::Json(group + "/" + std::string(kind->version)));
    stored = server_.put(std::move(stored));
    wanted_[name_of(stored)] = kube::resource_version_of(stored);
  }
  bool start() {
    ingest_.start();
    return ingest_.wait_synced(std::chrono::duration_cast<milliseconds>(kPatience));
  }
  // Waits for all that was put, and for the snapshot that has it. A change that affects nobody
  // makes no snapshot, so one that does is added behind it.
  std::vector<std::pair<discovery::SnapshotPtr, discovery::Impact>> take() {
    wait([this] {
      for (const auto& [name, version] : wanted_)
        if (const auto seen = seen_.find(name); seen == seen_.end() || seen->second != version)
          return false;
      return true;
    });
    wanted_.clear();
    const std::string name = "marker-" + std::to_string(++markers_);
    ingest_.set_jwks("test://" + name, "{\"keys\":[]}");
    decltype(snapshots_) out;
    wait([&] {
      for (auto& each : std::exchange(snapshots_, {})) out.push_back(std::move(each));
      return !out.empty() && out.back().first->input().jwks.contains("test://" + name);
    });
    return out;
  }

 private:
  static discovery::Ingest::Options options() {
    discovery::Ingest::Options out;
    out.debounce_after = milliseconds(1);
    return out;
  }
  static std::vector<kube::Resource> resources() {
    std::vector<kube::Resource> out;
    for (const mesh::Kind& kind : mesh::kinds())
      out.push_back({std::string(kind.group), std::string(kind.version), std::string(kind.plural),
                     std::string(kind.kind), true});
    return out;
  }
  static std::string name_of(const data::Json& object) {
    return std::string(kube::kind_of(object)) + " " + kube::key_of(object).to_string();
  }
  void wait(const std::function<bool()>& holds) {
    std::unique_lock lock(mutex_);
    CHECK(changed_.wait_for(lock, kPatience, holds));
  }

  SystemClock clock_;
  kube::MemoryServer server_;
  kube::Client client_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::pair<discovery::SnapshotPtr, discovery::Impact>> snapshots_;
  std::map<std::string, std::string> seen_, wanted_;  // resourceVersions by kind and name
  int markers_ = 0;
  discovery::Ingest ingest_;  // last: its threads use the rest
};

struct ControlPlane::Connection {
  net::TlsInfo tls;  // what the handshake would have told
  std::unique_ptr<http::ServerConnection> http;
};

ControlPlane::ControlPlane(Node& node, bool is_watching)
    : node_(node),
      authenticator_(std::make_unique<ByUri>()),
      store_(discovery::Store::Options{}),
      ads_(node, node.clock(), {}, authenticator_.get(), metrics_),
      timer_(node, [this] { publish(); }) {
  if (is_watching) watched_ = std::make_unique<Watched>(metrics_);
  ads_.attach(service_, discovery::Door::kTls);
}

ControlPlane::~ControlPlane() { connections_.clear(); }

void ControlPlane::put(const data::Json& object) {
  if (watched_ != nullptr) return watched_->put(object);
  publish_soon(store_.put(object));
}

void ControlPlane::remove(const data::Json& object) {
  CHECK(watched_ == nullptr);
  publish_soon(store_.remove(object));
}

void ControlPlane::start() {
  is_started_ = true;
  if (watched_ != nullptr) {
    CHECK(watched_->start());
    return sync();
  }
  pending_.is_full = true;
  publish();
}

void ControlPlane::sync() {
  if (watched_ == nullptr) return;
  for (auto& [snapshot, impact] : watched_->take())
    ads_.publish(std::move(snapshot), std::move(impact), node_.now());
}

void ControlPlane::publish_soon(discovery::Impact impact) {
  pending_.add(impact);
  if (is_started_ && !pending_.empty() && !timer_.is_armed()) timer_.arm(kDebounce);
}

void ControlPlane::publish() {
  auto snapshot = std::make_shared<const discovery::MeshSnapshot>(
      store_.input("v" + std::to_string(++version_)));
  ads_.publish(std::move(snapshot), std::exchange(pending_, {}), node_.now());
}

void ControlPlane::accept(std::unique_ptr<net::Stream> stream, std::string spiffe) {
  auto connection = std::make_unique<Connection>();
  connection->tls.has_peer_certificate = true;
  connection->tls.peer_uri_sans = {std::move(spiffe)};
  http::ConnectionInfo info;
  info.local = stream->local_address();
  info.remote = stream->remote_address();
  info.tls = &connection->tls;
  http::ServerOptions options;
  options.codec = http::Codec::kHttp2;
  options.max_concurrent_streams = 1000;
  connection->http =
      http::serve(node_, std::move(stream), std::move(info), service_, options,
                  [this](http::ServerConnection& closed) { connections_.erase(&closed); });
  http::ServerConnection* key = connection->http.get();
  connections_.emplace(key, std::move(connection));
}

}  // namespace lateen::mesh_test
