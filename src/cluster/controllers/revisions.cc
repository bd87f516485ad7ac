// Making, finding and trimming revisions.
#include "cluster/controllers/revisions.h"

#include <algorithm>

#include "cluster/controllers/pods.h"

namespace lateen::cluster::controllers {
namespace {

constexpr std::string_view kHashLabel = "controller.kubernetes.io/hash";

Json data_of(const Json& owner) {
  const Json* pod_template = data::find(owner, {"spec", "template"});
  Json out = pod_template != nullptr ? *pod_template : Json(boost::json::object_kind);
  data::set(out, {"$patch"}, "replace");
  return {{"spec", {{"template", std::move(out)}}}};
}

std::int64_t number_of(const Json& revision) { return data::get_int(revision, {"revision"}); }

}  // namespace

Result<Revisions> sync_revisions(World& world, const Json& owner) {
  Revisions out;
  out.older = world.revisions.owned_by(kube::uid_of(owner));
  std::sort(out.older.begin(), out.older.end(),
            [](const ObjectPtr& a, const ObjectPtr& b) { return number_of(*a) < number_of(*b); });
  const std::int64_t newest = out.older.empty() ? 0 : number_of(*out.older.back());
  const Json wanted = data_of(owner);
  const auto same =
      std::find_if(out.older.begin(), out.older.end(), [&](const ObjectPtr& revision) {
        const Json* has = data::find(*revision, {"data"});
        return has != nullptr && data::equal(*has, wanted);
      });
  if (same != out.older.end()) {
    out.latest = **same;
    out.older.erase(same);
    if (number_of(out.latest) == newest) return out;
    // An old template is current again (rollout undo): it becomes the newest.
    out.latest = TRY(world.patch(world.revisions, kube::key_of(out.latest), kube::Patch::kMerge,
                                 {{"revision", newest + 1}}));
    return out;
  }
  const std::string hash = safe_hash(canonical(wanted));
  JsonObject labels = data::get_object(owner, {"spec", "template", "metadata", "labels"});
  labels[kHashLabel] = hash;
  if (kube::kind_of(owner) == "DaemonSet") labels["controller-revision-hash"] = hash;
  JsonObject annotations = kube::annotations_of(owner);
  annotations.erase("kubectl.kubernetes.io/last-applied-configuration");
  out.latest = TRY(world.create(world.revisions,
                                {{"apiVersion", "apps/v1"},
                                 {"kind", "ControllerRevision"},
                                 {"metadata",
                                  {{"name", fmt::format("{}-{}", kube::name_of(owner), hash)},
                                   {"namespace", kube::namespace_of(owner)},
                                   {"labels", std::move(labels)},
                                   {"annotations", std::move(annotations)},
                                   {"ownerReferences", JsonArray{kube::owner_reference(owner)}}}},
                                 {"data", wanted},
                                 {"revision", newest + 1}}));
  return out;
}

Json template_of(const Json& revision) {
  const Json* held = data::find(revision, {"data", "spec", "template"});
  Json out = held != nullptr ? *held : Json(boost::json::object_kind);
  data::erase(out, {"$patch"});
  return out;
}

std::string_view revision_hash(const Json& revision) { return kube::label(revision, kHashLabel); }

Result<> trim_revisions(World& world, const Json& owner, const Revisions& revisions,
                        const std::set<std::string>& live) {
  std::vector<ObjectPtr> idle;
  for (const auto& revision : revisions.older) {
    if (!live.contains(std::string(kube::name_of(*revision)))) idle.push_back(revision);
  }
  const auto limit = data::get_int(owner, {"spec", "revisionHistoryLimit"}, 10);
  const auto excess = static_cast<std::int64_t>(idle.size()) - limit;
  for (std::int64_t i = 0; i < excess; ++i) {
    TRY(world.remove(world.revisions, *idle[static_cast<std::size_t>(i)]));
  }
  return {};
}

}  // namespace lateen::cluster::controllers
