// Brings rendered objects into a cluster and tells when they work. Blocking; thread-safe.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "install/manifest.h"
#include "kube/client.h"

namespace lateen::install {

inline constexpr std::string_view kFieldManager = "istio-operator";

// Server-side applies one object with force. Fields that istiod writes into its webhooks at run
// time stay as they are. A CRD's kind that is not served yet is an error with kNotFound: try again.
Result<Json> apply_object(kube::Client& client, Json object);

// What an object still waits for ("Deployment/istio-system/istiod: 0 of 1 replicas available");
// empty when it works, or when its kind has nothing to wait for.
std::string waits_for(const Json& live);

// The namespace, created when missing.
Result<> ensure_namespace(kube::Client& client, const std::string& ns);

struct ApplyProgress {
  std::function<void(Part)> started;
  std::function<void(Part, const std::vector<std::string>& waiting)> waiting;
  std::function<void(Part)> done;
};
// Applies the parts in order; each is ready before the next begins. Fails with DeadlineExceeded,
// naming what is not ready, after `limit` for one part. `should_stop` is polled.
Result<> apply_manifests(kube::Client& client, const Plan& plan,
                         const std::vector<ComponentManifest>& manifests, milliseconds limit,
                         const ApplyProgress& progress);

// Kinds that an installation is made of, for finding what to remove. CRDs are not among them:
// removing one removes all the user's objects of that kind.
const std::vector<kube::Resource>& prunable_resources();
// Objects of those kinds whose labels match; kinds that the cluster does not serve are skipped.
Result<std::vector<Json>> find_managed(kube::Client& client, const std::string& label_selector);
Result<> remove_object(kube::Client& client, const Json& object);
// "Deployment:istio-system:istiod", for telling objects apart.
std::string identity(const Json& object);

}  // namespace lateen::install
