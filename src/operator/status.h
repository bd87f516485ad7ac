// An IstioOperator's status: one level for all and one a component.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "data/json.h"
#include "install/spec.h"

namespace lateen::op {

class Status {
 public:
  // Worse is greater.
  enum class Level : unsigned char { kHealthy, kReconciling, kError };

  // The object itself is wrong: nothing was changed.
  static Status mistake(std::string message);
  void set(install::Part part, Level level, std::string message);
  Level overall() const;
  data::Json to_json() const;

 private:
  struct Entry {
    Level level;
    std::string message;
  };
  std::map<std::string, Entry> parts_;
  std::string mistake_;
};

}  // namespace lateen::op
