// Levels of single scopes, beside the one of log.h that holds for all others. Process-wide,
// thread-safe.
#pragma once

#include <map>
#include <string>

#include "base/log.h"

namespace lateen::log {

// Lines of `scope` below `level` are dropped, those at it or above are written, whatever the level
// of the others.
void set_scope_level(const std::string& scope, Level level);
// For all scopes; those of their own are forgotten.
void set_all_levels(Level level);
Level default_level();
std::map<std::string, Level> scope_levels();

}  // namespace lateen::log
