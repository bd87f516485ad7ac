// Volumes of one pod, as directories under its own: made before its containers start, kept up to
// date while it runs (ConfigMaps, Secrets, tokens, downward API), removed with it. Used by the
// pod's own thread only.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "base/clock.h"
#include "cluster/node/container.h"
#include "cluster/node/environment.h"
#include "kube/client.h"

namespace lateen::cluster::node {

class Volumes {
 public:
  // `pod_dir`: the pod's directory; `claims_dir`: where volume claims of all pods live. `client`
  // and `clock` outlive us.
  Volumes(kube::Client& client, const Clock& clock, std::string pod_dir, std::string claims_dir)
      : client_(client),
        clock_(clock),
        pod_dir_(std::move(pod_dir)),
        claims_dir_(std::move(claims_dir)) {}

  // Makes what is missing and rewrites what changed. The error names the volume (event
  // FailedMount).
  Result<> prepare(const Json& pod, const PodFacts& facts);
  // Unmounts what prepare() mounted (emptyDir in memory); the files go with the pod's directory.
  void remove(const Json& pod);
  // True when the pod has volumes that follow that ConfigMap or Secret.
  bool follows(const Json& pod, std::string_view kind, std::string_view name) const;
  // When the next token must be renewed; nullopt without tokens.
  std::optional<SteadyTime> next_renewal() const { return next_renewal_; }

  // Mounts of a container, with subPath resolved. `environment` expands subPathExpr.
  Result<std::vector<VolumeMount>> mounts_of(const Json& pod, const Json& container,
                                             const EnvironmentList& environment) const;

 private:
  struct Files;
  Result<> prepare_volume(const Json& pod, const Json& volume, const PodFacts& facts);
  Result<> add_projection(Files& files, const Json& pod, const Json& source, const PodFacts& facts);
  Result<> add_object(Files& files, const Json& pod, std::string_view kind, const Json& source,
                      std::string_view name);
  Result<> add_downward(Files& files, const Json& pod, const Json& source, const PodFacts& facts);
  Result<> add_token(Files& files, const Json& pod, const Json& source);
  Result<std::string> claim_directory(const Json& pod, std::string_view claim);
  std::string volume_dir(std::string_view name) const;

  struct Token {
    std::string text;
    SteadyTime renew_at;
  };
  kube::Client& client_;
  const Clock& clock_;
  std::string pod_dir_;
  std::string claims_dir_;
  std::map<std::string, std::string, std::less<>>
      host_paths_;                       // volumes that are not ours: hostPath, claims
  std::map<std::string, Token> tokens_;  // by audience and lifetime
  std::optional<SteadyTime> next_renewal_;
};

// Replaces the files of `directory` all at once, as the kubelet does: they are links through
// ..data, which is one rename away from the next set. Nothing is touched when nothing changed.
struct ProjectedFile {
  std::string path;  // relative, may have directories
  std::string text;
  int mode = 0644;
};
Result<> write_projected(const std::string& directory, const std::vector<ProjectedFile>& files,
                         std::optional<unsigned> group);

}  // namespace lateen::cluster::node
