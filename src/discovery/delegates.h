// Virtual services as generators want them: host names resolved, delegates merged into their roots.
#pragma once

#include <string_view>
#include <unordered_map>

#include "discovery/snapshot.h"

namespace lateen::discovery {

// In the order given. Delegates (without hosts) vanish; a root's delegating route becomes its
// child's routes, with both matches required; a missing child, or conflicting matches, drop that
// route.
//
// `known`: what was made of configs before, by their addresses; those that delegate nothing are
// taken from there, and all such are written to `made` (both may be null).
using ResolvedVirtualServices =
    std::unordered_map<const void*, mesh::ConfigPtr<mesh::VirtualService>>;
Configs<mesh::VirtualService> resolve_virtual_services(
    const Configs<mesh::VirtualService>& all, std::string_view domain,
    const ResolvedVirtualServices* known = nullptr, ResolvedVirtualServices* made = nullptr);

}  // namespace lateen::discovery
