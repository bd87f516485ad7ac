// The flags that say which IstioOperator a verb is about: files, --set, revision, manifests.
#pragma once

#include "cli/session.h"
#include "install/spec.h"

namespace lateen::cli {

struct IopFlags {
  std::vector<std::string> files;
  std::vector<std::string> sets;
  std::string revision;
  std::string manifests;
  bool is_forced = false;

  void add_to(CLI::App& command);
  // Files merged in order, then the flags over them.
  Result<Json> load(Session& session) const;
};

}  // namespace lateen::cli
