#include "discovery/config_status.h"

#include "base/log.h"
#include "mesh/kinds.h"

namespace lateen::discovery {
namespace {

using data::get_int;
using data::get_string;
using data::Json;
using data::JsonObject;

constexpr const char* kType = "Reconciled";

// What counts as one of ours, and where it is served.
std::optional<kube::Resource> resource_of(std::string_view kind) {
  for (const auto& each : mesh::kinds()) {
    if (each.kind == kind)
      return kube::Resource{std::string(each.group), std::string(each.version),
                            std::string(each.plural), std::string(each.kind), true};
  }
  return std::nullopt;
}

bool is_ours(const Json& object) {
  const auto kind = get_string(object, {"kind"});
  const auto api = get_string(object, {"apiVersion"});
  for (const auto& each : mesh::kinds()) {
    if (each.kind == kind && api.substr(0, api.find('/')) == each.group) return true;
  }
  return false;
}

// Already said of this generation?
bool is_told(const Json& object) {
  const Json* condition = kube::condition(object, kType);
  return condition != nullptr && get_string(*condition, {"status"}) == "True" &&
         get_int(object, {"status", "observedGeneration"}) ==
             get_int(object, {"metadata", "generation"});
}

template <typename Spec>
std::int64_t generation_in(const Configs<Spec>& configs, std::string_view ns,
                           std::string_view name) {
  for (const auto& config : configs) {
    if (config->meta.ns == ns && config->meta.name == name) return config->meta.generation;
  }
  return -1;
}

// The generation that the snapshot was made of; -1: it has none.
std::int64_t generation_in(const SnapshotInput& in, std::string_view kind, std::string_view ns,
                           std::string_view name) {
  if (kind == "VirtualService") return generation_in(in.virtual_services, ns, name);
  if (kind == "DestinationRule") return generation_in(in.destination_rules, ns, name);
  if (kind == "Gateway") return generation_in(in.gateways, ns, name);
  if (kind == "Sidecar") return generation_in(in.sidecars, ns, name);
  if (kind == "PeerAuthentication") return generation_in(in.peer_authentications, ns, name);
  if (kind == "RequestAuthentication") return generation_in(in.request_authentications, ns, name);
  if (kind == "AuthorizationPolicy") return generation_in(in.authorization_policies, ns, name);
  if (kind == "EnvoyFilter") return generation_in(in.envoy_filters, ns, name);
  if (kind == "Telemetry") return generation_in(in.telemetries, ns, name);
  if (kind == "WasmPlugin") return generation_in(in.wasm_plugins, ns, name);
  if (kind == "ProxyConfig") return generation_in(in.proxy_configs, ns, name);
  return -1;
}

}  // namespace

ConfigStatus::ConfigStatus(kube::Client& client, const Clock& clock, Ask ask, Options options)
    : client_(client), clock_(clock), ask_(std::move(ask)), options_(options), thread_([this] {
        work();
      }) {}

ConfigStatus::~ConfigStatus() {
  {
    const std::lock_guard lock(mutex_);
    is_stopped_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void ConfigStatus::take(const Json& object, bool is_removed) {
  if (!is_ours(object)) return;
  const Key key{std::string(get_string(object, {"kind"})),
                std::string(get_string(object, {"metadata", "namespace"})),
                std::string(get_string(object, {"metadata", "name"}))};
  {
    const std::lock_guard lock(mutex_);
    if (is_removed || is_told(object)) {
      waiting_.erase(key);
      return;
    }
    const auto generation = get_int(object, {"metadata", "generation"});
    const auto found = waiting_.find(key);
    if (found != waiting_.end() && found->second.generation == generation) return;
    if (found == waiting_.end() && waiting_.size() >= options_.most_waiting) return;
    waiting_[key] = {generation, clock_.steady(), false};
  }
  changed_.notify_all();
}

void ConfigStatus::answer(SnapshotPtr snapshot, Ads::Distribution distribution) {
  {
    const std::lock_guard lock(mutex_);
    snapshot_ = std::move(snapshot);
    distribution_ = distribution;
  }
  changed_.notify_all();
}

void ConfigStatus::set_leading(bool is_leading) {
  {
    const std::lock_guard lock(mutex_);
    is_leading_ = is_leading;
  }
  changed_.notify_all();
}

std::size_t ConfigStatus::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size();
}

void ConfigStatus::work() {
  std::unique_lock lock(mutex_);
  while (!is_stopped_) {
    if (!is_leading_ || waiting_.empty()) {
      changed_.wait(lock);
      continue;
    }
    snapshot_ = nullptr;
    lock.unlock();
    ask_();
    lock.lock();
    changed_.wait_for(lock, options_.look_every,
                      [this] { return is_stopped_ || snapshot_ != nullptr; });
    if (is_stopped_ || snapshot_ == nullptr) continue;
    const std::vector<Verdict> verdicts = judge();
    for (const Verdict& each : verdicts) {
      lock.unlock();
      const auto done = write(each);
      lock.lock();
      if (is_stopped_) return;
      const auto found = waiting_.find(each.key);
      const bool is_same = found != waiting_.end() && found->second.generation == each.generation;
      const bool is_gone = !done.ok() && done.error().code() == Code::kNotFound;
      if (is_same && ((done.ok() && each.is_live) || is_gone)) waiting_.erase(found);
      else if (is_same && done.ok()) found->second.is_behind_told = true;
      if (!done.ok() && !is_gone && done.error().code() != Code::kAborted)
        LOG(kWarn, "status", "{} {}/{}: {}", std::get<0>(each.key), std::get<1>(each.key),
            std::get<2>(each.key), done.error().message());
      changed_.wait_for(lock, milliseconds(1'000) / options_.writes_a_second,
                        [this] { return is_stopped_ || !is_leading_; });
    }
    changed_.wait_for(lock, options_.look_every, [this] { return is_stopped_ || !is_leading_; });
  }
}

// What can be said now. Under the lock.
std::vector<ConfigStatus::Verdict> ConfigStatus::judge() {
  std::vector<Verdict> out;
  const std::string message = std::to_string(distribution_.current) + "/" +
                              std::to_string(distribution_.total) + " proxies up to date.";
  const bool is_everywhere = distribution_.current == distribution_.total;
  const auto most = static_cast<std::size_t>(options_.writes_a_second);
  for (auto& [key, object] : waiting_) {
    if (out.size() >= most) break;
    const auto& [kind, ns, name] = key;
    // ServiceEntries and WorkloadEntries become services: there is no generation to compare.
    const bool is_entry =
        kind == "ServiceEntry" || kind == "WorkloadEntry" || kind == "WorkloadGroup";
    const auto known = generation_in(snapshot_->input(), kind, ns, name);
    const bool is_old = clock_.steady() - object.since > options_.patience;
    const bool is_used = is_entry || known >= object.generation;
    if (is_used && is_everywhere) out.push_back({key, object.generation, true, message});
    else if (is_used && is_old && !object.is_behind_told)
      out.push_back({key, object.generation, false, message});
  }
  return out;
}

Result<> ConfigStatus::write(const Verdict& verdict) {
  const auto& [kind, ns, name] = verdict.key;
  const auto resource = resource_of(kind);
  if (!resource) return {};
  Json object = TRY(client_.get(*resource, {ns, name}));
  if (get_int(object, {"metadata", "generation"}) != verdict.generation) return {};
  const std::string now = format_rfc3339(clock_.wall());
  bool is_changed =
      kube::set_condition(object, kType, verdict.is_live ? "True" : "False",
                          verdict.is_live ? "Distributed" : "Distributing", verdict.message, now);
  if (get_int(object, {"status", "observedGeneration"}) != verdict.generation) {
    data::set(object, {"status", "observedGeneration"}, Json(verdict.generation));
    is_changed = true;
  }
  if (!is_changed) return {};
  TRY(client_.update_status(*resource, object));
  return {};
}

}  // namespace lateen::discovery
