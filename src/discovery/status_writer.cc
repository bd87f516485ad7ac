#include "discovery/status_writer.h"

#include "base/log.h"
#include "discovery/translate/gateway_api.h"
#include "mesh/hostname.h"

namespace lateen::discovery {
namespace {

using data::get_array;
using data::get_string;
using data::Json;
using data::JsonArray;
using data::JsonObject;

struct Served {
  const char* kind;
  const char* group;
  const char* version;
  const char* plural;
  bool is_namespaced;
};
constexpr Served kServed[] = {
    {"Ingress", "networking.k8s.io", "v1", "ingresses", true},
    {"GatewayClass", "gateway.networking.k8s.io", "v1", "gatewayclasses", false},
    {"Gateway", "gateway.networking.k8s.io", "v1", "gateways", true},
    {"HTTPRoute", "gateway.networking.k8s.io", "v1", "httproutes", true},
    {"GRPCRoute", "gateway.networking.k8s.io", "v1", "grpcroutes", true},
    {"TCPRoute", "gateway.networking.k8s.io", "v1alpha2", "tcproutes", true},
    {"TLSRoute", "gateway.networking.k8s.io", "v1alpha2", "tlsroutes", true},
};

std::optional<kube::Resource> resource_of(std::string_view kind) {
  for (const Served& served : kServed) {
    if (served.kind == kind) {
      return kube::Resource{served.group, served.version, served.plural, served.kind,
                            served.is_namespaced};
    }
  }
  return std::nullopt;
}

// A condition that says what an earlier one said keeps its time.
void keep_times(const Json& before, const std::string& now, Json& conditions) {
  for (Json& condition : *conditions.if_array()) {
    std::string since = now;
    for (const Json& old : get_array(before, {"conditions"})) {
      if (get_string(old, {"type"}) == get_string(condition, {"type"}) &&
          get_string(old, {"status"}) == get_string(condition, {"status"}) &&
          !get_string(old, {"lastTransitionTime"}).empty()) {
        since = get_string(old, {"lastTransitionTime"});
      }
    }
    data::set(condition, {"lastTransitionTime"}, Json(since));
  }
}

// Fills the times of all conditions in a status: its own, its listeners' and its parents'.
void fill_times(const Json& before, const std::string& now, Json& status) {
  if (Json* own = data::find(status, {"conditions"})) keep_times(before, now, *own);
  for (const char* list : {"listeners", "parents"}) {
    Json* items = data::find(status, {list});
    if (items == nullptr || !items->is_array()) continue;
    const auto& old = get_array(before, {list});
    std::size_t index = 0;
    for (Json& item : *items->if_array()) {
      const Json none;
      const Json& earlier = index < old.size() ? old[index] : none;
      ++index;
      if (Json* conditions = data::find(item, {"conditions"})) {
        keep_times(earlier, now, *conditions);
      }
    }
  }
}

// Parents that another controller wrote stay.
void keep_foreign_parents(const Json& before, Json& status) {
  Json* parents = data::find(status, {"parents"});
  if (parents == nullptr || !parents->is_array()) return;
  for (const Json& old : get_array(before, {"parents"})) {
    if (get_string(old, {"controllerName"}) != kGatewayController) {
      parents->if_array()->push_back(old);
    }
  }
}

}  // namespace

StatusWriter::StatusWriter(kube::Client& client, const Clock& clock, Options options)
    : client_(client), clock_(clock), options_(std::move(options)), thread_([this] {
        work();
        return std::nullopt;
      }) {}

void StatusWriter::take(const Json& object, bool is_removed) {
  const std::string_view kind = get_string(object, {"kind"});
  if (!Translation::takes(kind, get_string(object, {"apiVersion"}))) return;
  const Translation::Key key{std::string(kind),
                             std::string(get_string(object, {"metadata", "namespace"})),
                             std::string(get_string(object, {"metadata", "name"}))};
  {
    const std::lock_guard lock(mutex_);
    if (is_removed) {
      objects_.erase(key);
    } else {
      objects_[key] = object;
    }
  }
  thread_.wake();
}

void StatusWriter::note(SnapshotPtr snapshot) {
  {
    const std::lock_guard lock(mutex_);
    snapshot_ = std::move(snapshot);
    if (objects_.empty()) return;
  }
  thread_.wake();
}

void StatusWriter::work() {
  Translation::Objects objects;
  SnapshotPtr snapshot;
  {
    const std::lock_guard lock(mutex_);
    if (snapshot_ == nullptr) return;
    objects = objects_;
    snapshot = snapshot_;
  }
  for (const Wanted& each : wanted(objects, *snapshot)) {
    const auto before = written_.find(each.key);
    if (before != written_.end() && data::equal(before->second, each.status)) continue;
    const auto done = write(each);
    if (done.ok()) {
      written_[each.key] = each.status;
    } else if (done.error().code() == Code::kAborted) {
      thread_.wake();  // somebody wrote it meanwhile
    } else if (done.error().code() != Code::kNotFound) {
      LOG(kWarn, "status", "{} {}/{}: {}", std::get<0>(each.key), std::get<1>(each.key),
          std::get<2>(each.key), done.error().message());
    }
  }
}

std::vector<StatusWriter::Wanted> StatusWriter::wanted(const Translation::Objects& objects,
                                                       const MeshSnapshot& snapshot) const {
  std::vector<Wanted> out;
  const auto made = translate(
      {objects, snapshot.mesh(), options_.domain, options_.system_namespace, snapshot.services()});
  for (const auto& [key, status] : made->statuses) out.push_back({key, status});
  // An Ingress is reached where the ingress gateway's service is.
  JsonArray addresses;
  for (const mesh::ServicePtr& service : snapshot.services()) {
    if (service->ns != options_.system_namespace ||
        service->name != snapshot.mesh().ingress_service) {
      continue;
    }
    for (const std::string& ip : service->external_ips) {
      addresses.push_back(JsonObject{{mesh::is_ip(ip) ? "ip" : "hostname", ip}});
    }
  }
  std::set<std::pair<std::string, std::string>> ours;
  for (const auto& gateway : made->gateways) {
    constexpr std::string_view kMade = "-istio-autogenerated-k8s-ingress-";
    const std::size_t at = gateway->meta.name.find(kMade);
    if (at == std::string::npos) continue;
    ours.insert({gateway->meta.name.substr(at + kMade.size()), gateway->meta.name.substr(0, at)});
  }
  for (const auto& [ns, name] : ours) {
    out.push_back(
        {{"Ingress", ns, name}, JsonObject{{"loadBalancer", JsonObject{{"ingress", addresses}}}}});
  }
  return out;
}

Result<> StatusWriter::write(const Wanted& wanted) {
  const auto& [kind, ns, name] = wanted.key;
  const auto resource = resource_of(kind);
  if (!resource) return {};
  Json object = TRY(client_.get(*resource, {ns, name}));
  const Json* found = data::find(object, {"status"});
  const Json before = found != nullptr ? *found : Json(JsonObject{});
  Json status = wanted.status;
  fill_times(before, format_rfc3339(clock_.wall()), status);
  keep_foreign_parents(before, status);
  Json merged = before.is_object() ? before : Json(JsonObject{});
  for (const auto& entry : *status.if_object()) {
    (*merged.if_object())[entry.key()] = entry.value();
  }
  if (data::equal(merged, before)) return {};
  data::set(object, {"status"}, std::move(merged));
  TRY(client_.update_status(*resource, object));
  return {};
}

}  // namespace lateen::discovery
