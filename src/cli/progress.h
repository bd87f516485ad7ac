// Progress lines of an installation: one line that is written over on a terminal, only results
// elsewhere.
#pragma once

#include <string>
#include <vector>

#include "cli/session.h"

namespace lateen::cli {

class Progress {
 public:
  explicit Progress(Session& session) : session_(session) {}
  ~Progress() { clear(); }

  // "- Processing resources for Istiod. Waiting for Deployment/istio-system/istiod"
  void waiting(const std::string& part, const std::vector<std::string>& what);
  void done(const std::string& part);  // "✔ Istiod installed"
  void failed(const std::string& part, const std::string& why);
  void pause() const;  // between looks

 private:
  void clear();
  Session& session_;
  bool is_open_ = false;  // an unfinished line stands on the terminal
};

}  // namespace lateen::cli
