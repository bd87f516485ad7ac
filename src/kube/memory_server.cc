// Storage and request handling of the in-memory API server.
#include "kube/memory_server.h"

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>

#include "base/random.h"
#include "base/strings.h"
#include "kube/apply.h"
#include "kube/patch.h"
#include "kube/selector.h"

namespace lateen::kube {
namespace {

using http::PlainRequest;
using http::PlainResponse;
using Query = std::map<std::string, std::string, std::less<>>;

PlainResponse answer(int status, const Json& body) {
  return {status, {{"content-type", "application/json"}}, data::dump_json(body)};
}

PlainResponse refuse(int status, std::string_view reason, const std::string& message) {
  return answer(status, {{"kind", "Status"},
                         {"apiVersion", "v1"},
                         {"status", "Failure"},
                         {"message", message},
                         {"reason", reason},
                         {"code", status}});
}

// /apis/apps/v1/namespaces/x/deployments/y/scale?a=b, taken apart.
struct Target {
  std::string api_version, ns, plural, name, subresource;
  Query query;
};

Target parse_target(std::string_view url) {
  Target out;
  const auto mark = url.find('?');
  if (mark != std::string_view::npos) {
    for (auto& [key, value] : parse_query(url.substr(mark + 1))) out.query[key] = value;
  }
  std::vector<std::string> parts;
  for (const auto part : split(url.substr(0, mark), '/')) {
    if (!part.empty()) parts.push_back(percent_decode(part).value_or(std::string(part)));
  }
  std::size_t at = 0;
  const auto next = [&] { return at < parts.size() ? parts[at++] : std::string(); };
  if (next() == "apis") {
    out.api_version = next();
    out.api_version += "/" + next();
  } else {
    out.api_version = next();
  }
  if (at + 2 < parts.size() && parts[at] == "namespaces" && parts[at + 2] != "status" &&
      parts[at + 2] != "finalize") {
    ++at;
    out.ns = next();
  }
  out.plural = next();
  out.name = next();
  out.subresource = next();
  return out;
}

std::vector<Resource> builtins() {
  namespace r = resources;
  return {r::pods(),
          r::services(),
          r::endpoints(),
          r::endpoint_slices(),
          r::namespaces(),
          r::nodes(),
          r::secrets(),
          r::config_maps(),
          r::events(),
          r::service_accounts(),
          r::deployments(),
          r::replica_sets(),
          r::stateful_sets(),
          r::daemon_sets(),
          r::controller_revisions(),
          r::jobs(),
          r::cron_jobs(),
          r::leases(),
          r::hpas(),
          r::pdbs(),
          r::crds(),
          r::ingresses(),
          r::persistent_volume_claims(),
          r::replication_controllers()};
}

std::string content_type_of(const PlainRequest& request) {
  for (const auto& [name, value] : request.headers) {
    if (name == "content-type") return value;
  }
  return {};
}

}  // namespace

struct MemoryServer::State {
  struct Change {
    std::uint64_t version;
    std::string plural_path;
    std::string type;
    Json object;
  };

  PlainResponse handle(const PlainRequest& request);
  PlainResponse discover(std::string_view path);
  PlainResponse list(const Resource& resource, const Target& target);
  PlainResponse create(const Resource& resource, const Target& target, const std::string& body);
  PlainResponse bind(const Target& target, const std::string& body);
  PlainResponse update(const Resource& resource, const Target& target, Json wanted);
  PlainResponse patch(const Resource& resource, const Target& target, const PlainRequest& request);
  PlainResponse remove(const Resource& resource, const Target& target, const std::string& body);
  PlainResponse scale(const Target& target, const Json& current) const;
  Result<PlainResponse> watch(const PlainRequest& request,
                              const Function<bool(std::string_view)>& on_chunk,
                              const Function<bool()>& should_stop);
  const Resource* find_resource(const Target& target) const;
  // Lock held.
  const Json& store(const Resource& resource, Json object, std::string type);
  void drop(const Resource& resource, const Key& key);
  static std::string place(const Resource& resource) {
    return resource.api_version() + "/" + resource.plural;
  }

  std::vector<Resource> served;
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, std::map<Key, Json>> objects;
  std::vector<Change> history;
  std::uint64_t version = 1;
  std::uint64_t oldest = 0;
  std::uint64_t epoch = 0;
  std::atomic<std::uint64_t> requests{0};
  std::unique_ptr<Random> random = seeded_random(7);
  SystemClock clock;
};

const Resource* MemoryServer::State::find_resource(const Target& target) const {
  for (const auto& resource : served) {
    if (resource.api_version() == target.api_version && resource.plural == target.plural)
      return &resource;
  }
  return nullptr;
}

const Json& MemoryServer::State::store(const Resource& resource, Json object, std::string type) {
  ++version;
  data::set(object, {"metadata", "resourceVersion"}, Json(std::to_string(version)));
  data::set(object, {"apiVersion"}, Json(resource.api_version()));
  data::set(object, {"kind"}, Json(resource.kind));
  Json& slot = objects[place(resource)][key_of(object)];
  slot = object;
  history.push_back({version, place(resource), std::move(type), std::move(object)});
  changed.notify_all();
  return slot;
}

void MemoryServer::State::drop(const Resource& resource, const Key& key) {
  auto& table = objects[place(resource)];
  const auto found = table.find(key);
  if (found == table.end()) return;
  ++version;
  Json last = std::move(found->second);
  table.erase(found);
  data::set(last, {"metadata", "resourceVersion"}, Json(std::to_string(version)));
  history.push_back({version, place(resource), "DELETED", std::move(last)});
  changed.notify_all();
}

PlainResponse MemoryServer::State::discover(std::string_view path) {
  data::JsonArray list;
  if (path == "/apis") {
    std::map<std::string, std::string> groups;
    for (const auto& resource : served) {
      if (!resource.group.empty()) groups[resource.group] = resource.version;
    }
    for (const auto& [group, group_version] : groups) {
      list.push_back(Json{{"name", group},
                          {"preferredVersion", {{"groupVersion", group + "/" + group_version}}}});
    }
    return answer(200, {{"kind", "APIGroupList"}, {"groups", std::move(list)}});
  }
  const auto api_version = path.substr(path.find('/', 1) + 1);
  for (const auto& resource : served) {
    if (resource.api_version() != api_version) continue;
    list.push_back(
        Json{{"name", resource.plural},
             {"kind", resource.kind},
             {"namespaced", resource.is_namespaced},
             {"verbs", {"create", "delete", "get", "list", "patch", "update", "watch"}}});
  }
  if (list.empty())
    return refuse(404, "NotFound", "the server could not find the requested resource");
  return answer(
      200,
      {{"kind", "APIResourceList"}, {"groupVersion", api_version}, {"resources", std::move(list)}});
}

PlainResponse MemoryServer::State::handle(const PlainRequest& request) {
  ++requests;
  const std::lock_guard lock(mutex);
  const Target target = parse_target(request.url);
  if (target.plural.empty())
    return discover(std::string_view(request.url).substr(0, request.url.find('?')));
  const Resource* resource = find_resource(target);
  if (resource == nullptr)
    return refuse(404, "NotFound", "the server could not find the requested resource");
  if (target.name.empty()) {
    return request.method == "POST" ? create(*resource, target, request.body)
                                    : list(*resource, target);
  }
  auto& table = objects[place(*resource)];
  const auto found = table.find({target.ns, target.name});
  if (found == table.end()) {
    const bool is_apply = request.method == "PATCH" && target.subresource.empty() &&
                          content_type_of(request) == "application/apply-patch+yaml";
    if (is_apply) return create(*resource, target, request.body);
    return refuse(404, "NotFound", target.plural + " \"" + target.name + "\" not found");
  }
  if (target.subresource == "binding") return bind(target, request.body);
  if (request.method == "DELETE") return remove(*resource, target, request.body);
  if (request.method == "PATCH") return patch(*resource, target, request);
  if (request.method == "PUT") {
    auto wanted = data::parse_json(request.body);
    return wanted ? update(*resource, target, std::move(*wanted))
                  : refuse(400, "BadRequest", "not JSON");
  }
  return target.subresource == "scale" ? scale(target, found->second) : answer(200, found->second);
}

PlainResponse MemoryServer::State::scale(const Target& target, const Json& current) const {
  return answer(200, {{"apiVersion", "autoscaling/v1"},
                      {"kind", "Scale"},
                      {"metadata", {{"name", target.name}, {"namespace", target.ns}}},
                      {"spec", {{"replicas", data::get_int(current, {"spec", "replicas"})}}},
                      {"status",
                       {{"replicas", data::get_int(current, {"status", "replicas"})},
                        {"selector", LabelSelector::from_object(
                                         Json(data::get_object(current, {"spec", "selector"})))
                                         .value_or(LabelSelector::nothing())
                                         .to_string()}}}});
}

PlainResponse MemoryServer::State::list(const Resource& resource, const Target& target) {
  const auto text = [&](std::string_view name) {
    const auto found = target.query.find(name);
    return found != target.query.end() ? found->second : std::string();
  };
  const auto labels = LabelSelector::parse(text("labelSelector"));
  const auto fields = FieldSelector::parse(text("fieldSelector"));
  if (!labels || !fields) return refuse(400, "BadRequest", "bad selector");
  data::JsonArray items;
  for (const auto& [key, object] : objects[place(resource)]) {
    if (!target.ns.empty() && key.ns != target.ns) continue;
    if (labels->matches(labels_of(object)) && fields->matches(object)) items.push_back(object);
  }
  return answer(200, {{"kind", resource.kind + "List"},
                      {"apiVersion", resource.api_version()},
                      {"metadata", {{"resourceVersion", std::to_string(version)}}},
                      {"items", std::move(items)}});
}

PlainResponse MemoryServer::State::create(const Resource& resource, const Target& target,
                                          const std::string& body) {
  auto parsed = data::parse_json(body);
  if (!parsed) return refuse(400, "BadRequest", "not JSON");
  Json object = std::move(*parsed);
  if (resource.is_namespaced) data::set(object, {"metadata", "namespace"}, Json(target.ns));
  if (name_of(object).empty()) {
    const std::string prefix(data::get_string(object, {"metadata", "generateName"}));
    if (prefix.empty())
      return refuse(422, "Invalid",
                    "metadata.name: Required value: name or generateName is required");
    data::set(object, {"metadata", "name"}, Json(prefix + random->suffix()));
  }
  if (objects[place(resource)].contains(key_of(object))) {
    return refuse(409, "AlreadyExists",
                  resource.plural + " \"" + std::string(name_of(object)) + "\" already exists");
  }
  data::set(object, {"metadata", "uid"}, Json(random->uuid()));
  data::set(object, {"metadata", "creationTimestamp"}, Json(format_rfc3339(clock.wall())));
  data::set(object, {"metadata", "generation"}, 1);
  if (resource.kind == "Namespace")
    data::set(object, {"spec", "finalizers"}, Json(data::JsonArray{"kubernetes"}));
  if (resource.kind == "Pod" && data::find(object, {"status", "phase"}) == nullptr) {
    data::set(object, {"status", "phase"}, "Pending");
  }
  return answer(201, store(resource, std::move(object), "ADDED"));
}

PlainResponse MemoryServer::State::bind(const Target& target, const std::string& body) {
  const auto binding = data::parse_json(body);
  Json pod = objects[place(resources::pods())][{target.ns, target.name}];
  if (!binding) return refuse(400, "BadRequest", "not JSON");
  if (!data::get_string(pod, {"spec", "nodeName"}).empty())
    return refuse(409, "Conflict", "already assigned");
  data::set(pod, {"spec", "nodeName"}, Json(data::get_string(*binding, {"target", "name"})));
  store(resources::pods(), std::move(pod), "MODIFIED");
  return answer(201, {{"kind", "Status"}, {"status", "Success"}});
}

PlainResponse MemoryServer::State::update(const Resource& resource, const Target& target,
                                          Json wanted) {
  const Key key{target.ns, target.name};
  const Json current = objects[place(resource)][key];
  const auto seen = resource_version_of(wanted);
  if (!seen.empty() && seen != resource_version_of(current)) {
    return refuse(409, "Conflict",
                  "Operation cannot be fulfilled on " + target.plural + " \"" + target.name +
                      "\": the object has been modified; please apply your changes to the latest "
                      "version and try again");
  }
  Json next;
  if (target.subresource == "scale") {
    next = current;
    data::set(next, {"spec", "replicas"}, data::get_int(wanted, {"spec", "replicas"}));
  } else if (target.subresource == "status") {
    next = current;
    if (const Json* status = data::find(wanted, {"status"})) data::set(next, {"status"}, *status);
  } else {
    next = std::move(wanted);
    if (const Json* status = data::find(current, {"status"})) data::set(next, {"status"}, *status);
    for (const std::string_view fixed :
         {"uid", "creationTimestamp", "deletionTimestamp", "generation"}) {
      if (const Json* value = data::find(current, {"metadata", fixed}))
        data::set(next, {"metadata", fixed}, *value);
    }
  }
  const Json* old_spec = data::find(current, {"spec"});
  const Json* new_spec = data::find(next, {"spec"});
  if (new_spec != nullptr && (old_spec == nullptr || !data::equal(*old_spec, *new_spec))) {
    data::set(next, {"metadata", "generation"},
              data::get_int(current, {"metadata", "generation"}) + 1);
  }
  data::set(next, {"metadata", "resourceVersion"}, Json(resource_version_of(current)));
  if (data::equal(next, current)) return answer(200, current);
  const bool is_held =
      !data::get_array(next, {"metadata", "finalizers"}).empty() ||
      (resource.kind == "Namespace" && !data::get_array(next, {"spec", "finalizers"}).empty());
  const Json stored = store(resource, std::move(next), "MODIFIED");
  if (is_deleting(stored) && !is_held && resource.kind != "Pod") drop(resource, key);
  return answer(200, stored);
}

PlainResponse MemoryServer::State::patch(const Resource& resource, const Target& target,
                                         const PlainRequest& request) {
  const auto body = data::parse_json(request.body);
  if (!body) return refuse(400, "BadRequest", "not JSON");
  const Json current = objects[place(resource)][{target.ns, target.name}];
  const std::string type = content_type_of(request);
  Result<Json> next = Json();
  if (type == "application/json-patch+json") next = json_patch(current, *body);
  else if (type == "application/strategic-merge-patch+json")
    next = strategic_merge(current, *body, resource.kind);
  else next = merge_patch(current, *body);
  if (!next) return refuse(422, "Invalid", next.error().message());
  // A patch carries no version of its own unless it sets one.
  if (data::find(*body, {"metadata", "resourceVersion"}) == nullptr && target.subresource.empty()) {
    data::erase(*next, {"metadata", "resourceVersion"});
  }
  return update(resource, target, std::move(*next));
}

PlainResponse MemoryServer::State::remove(const Resource& resource, const Target& target,
                                          const std::string& body) {
  const Key key{target.ns, target.name};
  Json object = objects[place(resource)][key];
  const Json options = data::parse_json(body).value_or(Json(boost::json::object_kind));
  if (const auto uid = data::get_string(options, {"preconditions", "uid"});
      !uid.empty() && uid != uid_of(object)) {
    return refuse(409, "Conflict", "Precondition failed: UID in precondition does not match");
  }
  data::JsonArray finalizers = data::get_array(object, {"metadata", "finalizers"});
  const auto policy = data::get_string(options, {"propagationPolicy"});
  if (policy == "Foreground") finalizers.push_back("foregroundDeletion");
  if (policy == "Orphan") finalizers.push_back("orphan");
  const bool is_graceful = resource.kind == "Pod" &&
                           data::get_int(options, {"gracePeriodSeconds"}, 30) > 0 &&
                           !data::get_string(object, {"spec", "nodeName"}).empty();
  if (finalizers.empty() && !is_graceful && resource.kind != "Namespace") {
    drop(resource, key);
    return answer(200, object);
  }
  if (!is_deleting(object)) {
    data::set(object, {"metadata", "deletionTimestamp"}, Json(format_rfc3339(clock.wall())));
    if (!finalizers.empty())
      data::set(object, {"metadata", "finalizers"}, Json(std::move(finalizers)));
    store(resource, object, "MODIFIED");
  }
  return answer(200, object);
}

Result<PlainResponse> MemoryServer::State::watch(const PlainRequest& request,
                                                 const Function<bool(std::string_view)>& on_chunk,
                                                 const Function<bool()>& should_stop) {
  const Target target = parse_target(request.url);
  std::unique_lock lock(mutex);
  const Resource* resource = find_resource(target);
  if (resource == nullptr)
    return refuse(404, "NotFound", "the server could not find the requested resource");
  const auto since = target.query.find("resourceVersion");
  std::uint64_t seen = parse_uint(since != target.query.end() ? since->second : "0").value_or(0);
  const auto labels = LabelSelector::parse(
      target.query.contains("labelSelector") ? target.query.find("labelSelector")->second : "");
  if (seen < oldest) return refuse(410, "Expired", "too old resource version");
  const std::uint64_t my_epoch = epoch;
  while (!should_stop()) {
    if (my_epoch != epoch) {
      lock.unlock();
      on_chunk(
          "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}"
          "}\n");
      return PlainResponse{200, {}, {}};
    }
    std::string lines;
    for (const auto& change : history) {
      if (change.version <= seen || change.plural_path != place(*resource)) continue;
      if (!target.ns.empty() && namespace_of(change.object) != target.ns) continue;
      if (labels && !labels->matches(labels_of(change.object))) continue;
      lines += data::dump_json({{"type", change.type}, {"object", change.object}}) + "\n";
    }
    seen = version;
    if (!lines.empty()) {
      lock.unlock();
      if (!on_chunk(lines)) return PlainResponse{200, {}, {}};
      lock.lock();
      continue;
    }
    changed.wait_for(lock, milliseconds(20));
  }
  return PlainResponse{200, {}, {}};
}

class MemoryServer::Door final : public Transport {
 public:
  explicit Door(State& state) : state_(state) {}
  Result<PlainResponse> call(const PlainRequest& request) override {
    return state_.handle(request);
  }
  Result<PlainResponse> stream(const PlainRequest& request,
                               const Function<bool(std::string_view)>& on_chunk,
                               const Function<bool()>& should_stop) override {
    return state_.watch(request, on_chunk, should_stop);
  }
  Result<std::unique_ptr<http::BlockingClient::Tunnel>> upgrade(const PlainRequest&,
                                                                std::string_view) override {
    return Error(Code::kUnimplemented, "the in-memory server has no upgrades");
  }

 private:
  State& state_;
};

MemoryServer::MemoryServer(std::vector<Resource> extra) : state_(std::make_unique<State>()) {
  state_->served = builtins();
  for (auto& resource : extra) state_->served.push_back(std::move(resource));
}
MemoryServer::~MemoryServer() = default;

std::unique_ptr<Transport> MemoryServer::transport() { return std::make_unique<Door>(*state_); }

Json MemoryServer::put(Json object) {
  const std::lock_guard lock(state_->mutex);
  for (const auto& resource : state_->served) {
    if (resource.api_version() != api_version_of(object) || resource.kind != kind_of(object))
      continue;
    if (uid_of(object).empty())
      data::set(object, {"metadata", "uid"}, Json(state_->random->uuid()));
    if (data::find(object, {"metadata", "creationTimestamp"}) == nullptr) {
      data::set(object, {"metadata", "creationTimestamp"},
                Json(format_rfc3339(state_->clock.wall())));
    }
    const bool is_new = !state_->objects[State::place(resource)].contains(key_of(object));
    return state_->store(resource, std::move(object), is_new ? "ADDED" : "MODIFIED");
  }
  CHECK(false);
  return {};
}

std::vector<Json> MemoryServer::all(const Resource& resource) {
  const std::lock_guard lock(state_->mutex);
  std::vector<Json> out;
  for (const auto& [key, object] : state_->objects[State::place(resource)]) out.push_back(object);
  return out;
}

void MemoryServer::expire() {
  const std::lock_guard lock(state_->mutex);
  ++state_->epoch;
  state_->history.clear();
  state_->oldest = ++state_->version;
  state_->changed.notify_all();
}

bool MemoryServer::wait_until(const std::function<bool()>& holds, milliseconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (!holds()) {
    std::unique_lock lock(state_->mutex);
    if (std::chrono::steady_clock::now() > until) return false;
    state_->changed.wait_for(lock, milliseconds(5));
  }
  return true;
}

std::uint64_t MemoryServer::requests() const { return state_->requests; }

}  // namespace lateen::kube
