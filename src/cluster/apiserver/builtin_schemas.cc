// See builtin_schemas.h.
#include "cluster/apiserver/builtin_schemas.h"

namespace lateen::cluster::apiserver {

std::vector<std::string> unknown_builtin_fields(std::string_view kind, std::string_view group,
                                                Json& object) {
  (void)kind;
  (void)group;
  (void)object;
  return {};
}

}  // namespace lateen::cluster::apiserver
