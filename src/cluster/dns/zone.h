// The cluster's zone: what names answer, from Services and EndpointSlices (Kubernetes DNS
// specification 1.1).
#pragma once

#include <string>
#include <vector>

#include "cluster/dns/message.h"
#include "kube/informer.h"

namespace lateen::cluster::dns {

// Where the objects come from; a test hands in its own.
class Directory {
 public:
  virtual ~Directory() = default;
  virtual kube::ObjectPtr service(const kube::Key& key) const = 0;
  virtual std::vector<kube::ObjectPtr> services(std::string_view ns) const = 0;  // empty: all
  virtual std::vector<kube::ObjectPtr> slices(const kube::Key& service) const = 0;
  virtual bool has_namespace(std::string_view ns) const = 0;
};

inline constexpr std::string_view kZone = "cluster.local";

// For a name outside the zone: ServerFailure, as nothing outside can be reached from here.
Answer answer_question(const Question& question, const Directory& directory);

}  // namespace lateen::cluster::dns
