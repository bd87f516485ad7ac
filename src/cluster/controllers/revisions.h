// ControllerRevisions: the remembered pod templates of StatefulSets and DaemonSets (rollout history
// and undo).
#pragma once

#include <string>
#include <vector>

#include "cluster/controllers/world.h"

namespace lateen::cluster::controllers {

struct Revisions {
  Json latest;                   // of the current template
  std::vector<ObjectPtr> older;  // by revision, oldest first
};

// Finds or makes the revision of `owner`'s template. Its name is "<owner>-<hash>".
Result<Revisions> sync_revisions(World& world, const Json& owner);
// The pod template a revision holds.
Json template_of(const Json& revision);
std::string_view revision_hash(const Json& revision);
// Drops revisions beyond spec.revisionHistoryLimit that are not in `live` (names).
Result<> trim_revisions(World& world, const Json& owner, const Revisions& revisions,
                        const std::set<std::string>& live);

}  // namespace lateen::cluster::controllers
