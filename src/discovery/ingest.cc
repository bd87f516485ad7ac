#include "discovery/ingest.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/log.h"
#include "mesh/kinds.h"

namespace lateen::discovery {
namespace {

constexpr std::string_view kGatewayApi = "gateway.networking.k8s.io";

// Parts of objects that the store never looks at: half of a pod's bytes.
void shrink(data::Json& object) {
  data::erase(object, {"metadata", "managedFields"});
  data::erase(object,
              {"metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"});
}

}  // namespace

Ingest::Ingest(kube::Client& client, const Clock& clock, Options options, Metrics& metrics,
               Publish publish)
    : client_(client),
      clock_(clock),
      options_(std::move(options)),
      metrics_(metrics),
      publish_(std::move(publish)),
      store_(options_.store) {
  const auto watch = [&](std::vector<std::unique_ptr<kube::Informer>>& list,
                         const kube::Resource& resource, std::string ns,
                         kube::ListOptions list_options = {}) {
    auto informer =
        std::make_unique<kube::Informer>(client_, resource, std::move(ns), list_options);
    informer->on_read([](data::Json& object) { shrink(object); });
    informer->apply_inline();
    informer->on_change(
        [this](const kube::Change& change) { take(change.object(), change.after == nullptr); });
    list.push_back(std::move(informer));
  };
  namespace resources = kube::resources;
  const std::string& ns = options_.only_namespace;
  watch(core_, resources::services(), ns);
  watch(core_, resources::endpoint_slices(), ns);
  watch(core_, resources::pods(), ns, {"", "status.phase!=Failed"});
  watch(core_, resources::nodes(), "");
  watch(core_, resources::namespaces(), "");
  watch(core_, resources::config_maps(), options_.store.system_namespace);
  watch(core_, resources::secrets(), ns, {"", "type!=kubernetes.io/service-account-token"});
  watch(configs_, {"networking.k8s.io", "v1", "ingresses", "Ingress", true}, ns);
  watch(configs_, {"networking.k8s.io", "v1", "ingressclasses", "IngressClass", false}, "");
  for (const auto& [version, plural, kind, is_namespaced] :
       std::initializer_list<std::tuple<const char*, const char*, const char*, bool>>{
           {"v1", "gatewayclasses", "GatewayClass", false},
           {"v1", "gateways", "Gateway", true},
           {"v1", "httproutes", "HTTPRoute", true},
           {"v1", "grpcroutes", "GRPCRoute", true},
           {"v1alpha2", "tcproutes", "TCPRoute", true},
           {"v1alpha2", "tlsroutes", "TLSRoute", true},
           {"v1beta1", "referencegrants", "ReferenceGrant", true}}) {
    watch(configs_, {std::string(kGatewayApi), version, plural, kind, is_namespaced},
          is_namespaced ? ns : "");
  }
  for (const mesh::Kind& kind : mesh::kinds()) {
    watch(configs_,
          kube::Resource{std::string(kind.group), std::string(kind.version),
                         std::string(kind.plural), std::string(kind.kind), true},
          ns);
  }
}

Ingest::~Ingest() {
  {
    const std::lock_guard lock(mutex_);
    is_stopped_ = true;
  }
  changed_.notify_all();
  core_.clear();
  configs_.clear();
  if (builder_.joinable()) builder_.join();
}

void Ingest::start() {
  for (auto& informer : core_) informer->start();
  for (auto& informer : configs_) informer->start();
  builder_ = std::thread([this] { build_loop(); });
}

bool Ingest::wait_synced(milliseconds limit) {
  const SteadyTime until = clock_.steady() + limit;
  const auto left = [&] {
    return std::max(milliseconds(0),
                    std::chrono::duration_cast<milliseconds>(until - clock_.steady()));
  };
  for (auto& informer : core_) {
    if (!informer->wait_synced(left())) return false;
  }
  // Kinds whose CRD is missing never sync; they come by themselves once it is there.
  const SteadyTime soon = std::min(until, clock_.steady() + seconds(2));
  for (auto& informer : configs_) {
    if (informer->resource().group == kGatewayApi) continue;  // an add-on: nobody waits for it
    const auto rest = std::chrono::duration_cast<milliseconds>(soon - clock_.steady());
    if (!informer->wait_synced(std::max(milliseconds(0), rest))) {
      LOG(kDebug, "ingest", "{} are not served by the API server yet", informer->resource().plural);
    }
  }
  Impact first;
  first.is_full = true;
  first.reason = "start";
  {
    const std::lock_guard lock(mutex_);
    is_started_ = true;
  }
  note(first);
  return true;
}

void Ingest::take(const data::Json& object, bool is_removed) {
  Impact impact;
  {
    const std::lock_guard lock(mutex_);
    impact = is_removed ? store_.remove(object) : store_.put(object);
  }
  if (!impact.empty()) {
    metrics_.count("pilot_k8s_reg_events",
                   fmt::format("type=\"{}\",event=\"{}\"", data::get_string(object, {"kind"}),
                               is_removed ? "delete" : "update"));
    note(impact);
  }
  if (observer_) observer_(object, is_removed);
}

void Ingest::note(const Impact& impact) {
  if (impact.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    last_change_ = clock_.steady();
    if (pending_.empty()) first_change_ = last_change_;
    pending_.add(impact);
  }
  changed_.notify_all();
}

void Ingest::set_jwks(const std::string& uri, std::string keys) {
  Impact impact;
  {
    const std::lock_guard lock(mutex_);
    impact = store_.set_jwks(uri, std::move(keys));
  }
  note(impact);
}

std::set<std::string> Ingest::wanted_jwks() const {
  const std::lock_guard lock(mutex_);
  return store_.wanted_jwks();
}

void Ingest::build_loop() {
  std::unique_lock lock(mutex_);
  SnapshotPtr last;
  while (!is_stopped_) {
    changed_.wait(lock, [&] { return is_stopped_ || (is_started_ && !pending_.empty()); });
    if (is_stopped_) return;
    // Config changes come in bursts (kubectl apply -f dir): wait until they pause.
    while (pending_.is_full && pending_.reason != "start" && !is_stopped_) {
      const SteadyTime now = clock_.steady();
      const SteadyTime due =
          std::min(last_change_ + options_.debounce_after, first_change_ + options_.debounce_most);
      if (now >= due) break;
      changed_.wait_for(lock, due - now);
    }
    if (is_stopped_) return;
    Impact impact = std::exchange(pending_, {});
    const SteadyTime since = first_change_;
    const SteadyTime started = clock_.steady();
    SnapshotInput input =
        store_.input(fmt::format("{}/{}", format_rfc3339(clock_.wall()), next_version_++));
    metrics_.set("pilot_services", static_cast<double>(input.services.size()));
    metrics_.set("pilot_virt_services", static_cast<double>(input.virtual_services.size()));
    metrics_.set("pilot_total_rejected_configs", static_cast<double>(store_.rejected_count()));
    lock.unlock();
    auto snapshot = std::make_shared<const MeshSnapshot>(std::move(input), last.get());
    last = snapshot;
    metrics_.observe("pilot_pushcontext_init_seconds", clock_.steady() - started);
    metrics_.observe("pilot_debounce_time", started - since);
    publish_(std::move(snapshot), std::move(impact), since);
    lock.lock();
  }
}

}  // namespace lateen::discovery
