// Namespaces: empties those being deleted, whatever kinds of objects they hold, then lets them go.
#include "base/strings.h"
#include "cluster/controllers/makers.h"

namespace lateen::cluster::controllers {
namespace {

constexpr milliseconds kNextPass{250};

class Namespaces final : public KeyedController {
 public:
  explicit Namespaces(World& world) : KeyedController(world, "namespace-controller", 2) {
    follow(world.namespaces);
    world.pods.on_change([this](const Change& change) {
      if (change.after != nullptr) return;
      const Key key{"", std::string(kube::namespace_of(*change.before))};
      const auto ns = world_.namespaces.find(key);
      if (ns != nullptr && kube::is_deleting(*ns)) enqueue(key);
    });
  }

 private:
  Result<Requeue> reconcile(const Key& key) override {
    const ObjectPtr ns = world_.namespaces.find(key);
    if (ns == nullptr || !kube::is_deleting(*ns)) return Requeue::no();
    const auto& finalizers = data::get_array(*ns, {"spec", "finalizers"});
    if (finalizers.empty()) return Requeue::no();
    const Remaining remaining = TRY(empty_out(key.name));
    if (!remaining.resources.empty()) {
      TRY(tell(*ns, remaining));
      return Requeue::after(kNextPass);
    }
    JsonArray others;
    for (const Json& finalizer : finalizers) {
      if (data::as_string(finalizer) != "kubernetes") others.push_back(finalizer);
    }
    Json freed = TRY(world_.client.get(kube::resources::namespaces(), key));
    data::set(freed, {"spec", "finalizers"}, Json(std::move(others)));
    http::PlainRequest request;
    request.method = "PUT";
    request.url = kube::resources::namespaces().path("", key.name, "finalize");
    request.headers = {{"content-type", "application/json"}, {"accept", "application/json"}};
    request.body = data::dump_json(freed);
    const auto response = TRY(world_.client.raw(request));
    if (response.status < 200 || response.status > 299) return kube::error_of(response);
    return Requeue::no();
  }

  // What is still there after a pass: "pods. has 2 resource instances", and by finalizer.
  struct Remaining {
    std::vector<std::string> resources;
    std::map<std::string, std::size_t> finalizers;
  };

  // Deletes all objects in it.
  Result<Remaining> empty_out(const std::string& ns) {
    Remaining remaining;
    for (const auto& resource : TRY(world_.client.all_resources())) {
      if (!resource.is_namespaced) continue;
      auto list = world_.client.list(resource, ns);
      if (!list && list.error().code() == Code::kNotFound) continue;  // its CRD went meanwhile
      const Json objects = TRY(std::move(list).at(resource.plural));
      std::size_t left = 0;
      for (const Json& object : data::get_array(objects, {"items"})) {
        for (const Json& finalizer : data::get_array(object, {"metadata", "finalizers"}))
          ++remaining.finalizers[std::string(data::as_string(finalizer))];
        if (kube::is_deleting(object)) {
          ++left;
          continue;
        }
        auto done = world_.client.remove(resource, kube::key_of(object));
        if (!done && done.error().code() == Code::kNotFound) continue;
        TRY(std::move(done).at(resource.plural + " " + std::string(kube::name_of(object))));
        // Most go at once; finalizers and graceful ends need another pass.
        const bool is_held =
            !data::get_array(object, {"metadata", "finalizers"}).empty() || resource.kind == "Pod";
        if (is_held) ++left;
      }
      if (left > 0)
        remaining.resources.push_back(
            fmt::format("{}. has {} resource instances", resource.plural, left));
    }
    return remaining;
  }

  Result<> tell(const Json& before, const Remaining& remaining) {
    Json after = before;
    kube::set_condition(after, "NamespaceDeletionContentFailure", "False", "ContentDeleted",
                        "All content successfully deleted, may be waiting on finalization",
                        world_.now());
    kube::set_condition(after, "NamespaceContentRemaining", "True", "SomeResourcesRemain",
                        "Some resources are remaining: " + join(remaining.resources, ", "),
                        world_.now());
    std::vector<std::string> held;
    for (const auto& [finalizer, count] : remaining.finalizers)
      held.push_back(fmt::format("{} in {} resource instances", finalizer, count));
    kube::set_condition(after, "NamespaceFinalizersRemaining", held.empty() ? "False" : "True",
                        held.empty() ? "ContentHasNoFinalizers" : "SomeFinalizersRemain",
                        held.empty() ? std::string("All content-preserving finalizers finished")
                                     : "Some content in the namespace has finalizers remaining: " +
                                           join(held, ", "),
                        world_.now());
    auto done = world_.update_status(world_.namespaces, before, after);
    const bool is_lost_race =
        !done && (done.error().code() == Code::kAborted || done.error().code() == Code::kNotFound);
    return is_lost_race ? Result<>() : done;
  }
};

}  // namespace

std::unique_ptr<Controller> make_namespaces(World& world) {
  return std::make_unique<Namespaces>(world);
}

}  // namespace lateen::cluster::controllers
