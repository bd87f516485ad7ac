// What the walk found, step by step, and how it is shown.
#pragma once

#include <string>
#include <vector>

#include "data/json.h"

namespace lateen::cli::explain {

using data::Json;

struct ObjectRef {
  std::string kind, ns, name;
  bool operator==(const ObjectRef&) const = default;
};
// "/apis/networking.istio.io/v1alpha3/namespaces/default/virtual-service/reviews", as Istio writes
// it into metadata; false for other texts.
bool parse_config_path(std::string_view path, ObjectRef& out);

enum class Outcome : unsigned char { kPass, kStop, kMaybe, kNote };

struct Step {
  std::string where;    // the pod (or "-") whose configuration says so
  std::string stage;    // "listener", "route", "mTLS", …
  std::string subject;  // what was chosen
  Outcome outcome = Outcome::kPass;
  std::vector<std::string> why;
  std::vector<ObjectRef> objects;  // whose doing it is
};

// One way the request may take, to its end.
struct End {
  std::int64_t percent = 100;
  std::string at;  // the pod, or what answers
  Outcome outcome = Outcome::kPass;
  std::string reason;  // when it does not arrive, or may not
};

struct Report {
  std::string source, destination, request;
  std::vector<Step> steps;
  std::vector<End> ends;

  // kPass: arrives on all ways; kStop: on none; kMaybe: on some, or it depends.
  Outcome verdict() const;
};

std::string format_text(const Report& report, bool is_coloured);
Json to_json(const Report& report);

}  // namespace lateen::cli::explain
