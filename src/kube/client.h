// A typed-by-nothing Kubernetes client: blocking calls, JSON objects, any API server. Thread-safe.
//
// Errors carry the API's own message. Codes: 400/422 kInvalidArgument, 401 kUnauthenticated, 403
// kPermissionDenied, 404 kNotFound, 409 AlreadyExists kAlreadyExists, 409 otherwise kAborted
// (conflict: re-read and try again), 410 kOutOfRange (too old: list again), 429/5xx and broken
// connections kUnavailable, 504 kDeadlineExceeded.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "http/blocking_client.h"
#include "kube/object.h"

namespace lateen::kube {

struct ListOptions {
  std::string label_selector;
  std::string field_selector;
};
struct WriteOptions {
  std::string field_manager = "lateen";
  bool is_dry_run = false;
};
enum class Patch : unsigned char { kJson, kMerge, kStrategic, kApply };
struct PatchOptions {
  std::string field_manager = "lateen";
  std::string subresource;  // "status", "scale"
  bool is_forced = false;   // server-side apply takes over conflicting fields
  bool is_dry_run = false;
};
enum class Propagation : unsigned char { kBackground, kForeground, kOrphan };
struct DeleteOptions {
  Propagation propagation = Propagation::kBackground;
  std::optional<int> grace_seconds;
  std::string uid;  // precondition when not empty
};

// How requests reach an API server: HTTP(S), or straight into a server in the same process (tests,
// `lateen cluster`).
class Transport {
 public:
  virtual ~Transport() = default;
  // `request.url` is a path with query.
  virtual Result<http::PlainResponse> call(const http::PlainRequest& request) = 0;
  virtual Result<http::PlainResponse> stream(const http::PlainRequest& request,
                                             const Function<bool(std::string_view)>& on_chunk,
                                             const Function<bool()>& should_stop) = 0;
  virtual Result<std::unique_ptr<http::BlockingClient::Tunnel>> upgrade(
      const http::PlainRequest& request, std::string_view protocol) = 0;
};

class Client {
 public:
  explicit Client(std::unique_ptr<Transport> transport);
  ~Client();

  Result<Json> get(const Resource& resource, const Key& key, std::string_view subresource = {});
  // The list object; its items carry apiVersion and kind.
  Result<Json> list(const Resource& resource, std::string_view ns, const ListOptions& options = {});
  // `ns` comes from the object's metadata.
  Result<Json> create(const Resource& resource, const Json& object,
                      const WriteOptions& options = {});
  Result<Json> create_subresource(const Resource& resource, const Key& key,
                                  std::string_view subresource, const Json& object);
  Result<Json> update(const Resource& resource, const Json& object,
                      const WriteOptions& options = {});
  Result<Json> update_status(const Resource& resource, const Json& object);
  Result<Json> patch(const Resource& resource, const Key& key, Patch kind, const Json& body,
                     const PatchOptions& options = {});
  // Server-side apply of a whole object.
  Result<Json> apply(const Resource& resource, const Json& object, const PatchOptions& options);
  Result<> remove(const Resource& resource, const Key& key, const DeleteOptions& options = {});
  Result<http::PlainResponse> raw(const http::PlainRequest& request);
  // Bytes of a streaming GET such as logs with follow=true.
  Result<> stream(const std::string& path, const Function<bool(std::string_view)>& on_chunk,
                  const Function<bool()>& should_stop);
  Transport& transport() { return *transport_; }

  // Finds the served resource of an object's apiVersion and kind through discovery (cached; a miss
  // asks again).
  Result<Resource> resource_for(std::string_view api_version, std::string_view kind);
  // All resources (no subresources) of an apiVersion; always asks.
  Result<std::vector<Resource>> resources_of(std::string_view api_version);
  // Those of every group's preferred version that can be listed, watched and deleted; always asks.
  Result<std::vector<Resource>> all_resources();

 private:
  Result<std::vector<Resource>> resources_with(std::initializer_list<std::string_view> verbs,
                                               std::string_view api_version);
  struct Discovery;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<Discovery> discovery_;
};

// The error that a non-2xx answer (a Status, or anything else) stands for.
Error error_of(const http::PlainResponse& response);

struct ClientConfig {
  std::string server;           // https://127.0.0.1:6443
  std::string tls_server_name;  // checked instead of the server's host when not empty
  std::string ca_pem;
  std::string client_certificate_pem;
  std::string client_key_pem;
  std::string bearer_token;
  std::string bearer_token_file;  // read again when it changes
  std::string ns = "default";     // the context's namespace
  bool is_insecure = false;
};
// In-cluster (KUBERNETES_SERVICE_HOST and the mounted token), or a kubeconfig file: `path` empty
// means $KUBECONFIG, then ~/.kube/config; `context` empty means current-context.
Result<ClientConfig> in_cluster_config();
Result<ClientConfig> load_kubeconfig(std::string path, std::string context = {});
Result<std::unique_ptr<Client>> connect(const ClientConfig& config);

}  // namespace lateen::kube
