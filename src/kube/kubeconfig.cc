// Where the API server is and who we are: kubeconfig files and the files mounted into pods.
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/strings.h"
#include "data/yaml.h"
#include "kube/client.h"

namespace lateen::kube {
namespace {

constexpr std::size_t kMaxFileBytes = 16u << 20;
constexpr const char* kMountedFiles = "/var/run/secrets/kubernetes.io/serviceaccount/";

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return errno_error("reading " + path, errno);
  std::ostringstream out;
  out << file.rdbuf();
  std::string text = std::move(out).str();
  if (text.size() > kMaxFileBytes) return invalid("reading " + path + ": larger than 16 MiB");
  return text;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

struct ConfigFile {
  std::string directory;  // relative paths start here
  Json value;
};

// The entry of a named list ("clusters", "users", "contexts"), from the first file that has it.
struct Named {
  const Json* value = nullptr;
  const ConfigFile* file = nullptr;
};
Named find_named(const std::vector<ConfigFile>& files, std::string_view list,
                 std::string_view field, std::string_view name) {
  for (const auto& file : files) {
    for (const Json& entry : data::get_array(file.value, {list})) {
      if (data::get_string(entry, {"name"}) == name) return {data::find(entry, {field}), &file};
    }
  }
  return {};
}

// "<key>-data" (base64) or the file at "<key>".
Result<std::string> read_pem(const Named& from, const std::string& key) {
  if (const auto inline_data = data::get_string(*from.value, {key + "-data"});
      !inline_data.empty()) {
    return base64_decode(inline_data).at(key + "-data");
  }
  const auto path = data::get_string(*from.value, {key});
  if (path.empty()) return std::string();
  return read_file(path.starts_with('/') ? std::string(path)
                                         : from.file->directory + std::string(path));
}

Result<std::vector<ConfigFile>> read_files(const std::string& paths) {
  std::vector<ConfigFile> files;
  for (const auto path_view : split(paths, ':')) {
    if (path_view.empty()) continue;
    const std::string path(path_view);
    auto text = read_file(path);
    if (!text && text.error().code() == Code::kNotFound) continue;
    Json value = TRY(data::parse_yaml(TRY(std::move(text))).at(path));
    const auto slash = path.rfind('/');
    files.push_back(
        {slash == std::string::npos ? "" : path.substr(0, slash + 1), std::move(value)});
  }
  if (files.empty()) {
    return not_found("no kubeconfig at " + paths +
                     "; start a cluster with `lateen up`, or set KUBECONFIG or --kubeconfig");
  }
  return files;
}

Result<> read_user(const Named& user, ClientConfig& config) {
  config.client_certificate_pem = TRY(read_pem(user, "client-certificate"));
  config.client_key_pem = TRY(read_pem(user, "client-key"));
  config.bearer_token = std::string(data::get_string(*user.value, {"token"}));
  config.bearer_token_file = std::string(data::get_string(*user.value, {"tokenFile"}));
  const bool is_nobody = config.client_certificate_pem.empty() && config.bearer_token.empty() &&
                         config.bearer_token_file.empty();
  if (is_nobody && data::find(*user.value, {"exec"}) != nullptr) {
    return Error(Code::kUnimplemented,
                 "the kubeconfig's user needs an exec credential plugin, which is not supported; "
                 "use a client "
                 "certificate or a token");
  }
  return {};
}

}  // namespace

Result<ClientConfig> in_cluster_config() {
  const std::string host = environment("KUBERNETES_SERVICE_HOST");
  const std::string port = environment("KUBERNETES_SERVICE_PORT");
  if (host.empty() || port.empty()) {
    return not_found(
        "not in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set");
  }
  const std::string directory = kMountedFiles;
  ClientConfig config;
  config.server =
      "https://" + (host.find(':') != std::string::npos ? "[" + host + "]" : host) + ":" + port;
  config.bearer_token_file = directory + "token";
  config.bearer_token = std::string(trim(TRY(read_file(config.bearer_token_file))));
  config.ca_pem = TRY(read_file(directory + "ca.crt"));
  if (auto ns = read_file(directory + "namespace"); ns && !trim(*ns).empty())
    config.ns = std::string(trim(*ns));
  return config;
}

Result<ClientConfig> load_kubeconfig(std::string path, std::string context) {
  if (path.empty()) path = environment("KUBECONFIG");
  if (path.empty()) path = environment("HOME") + "/.kube/config";
  const auto files = TRY(read_files(path));

  for (const auto& file : files) {
    if (!context.empty()) break;
    context = std::string(data::get_string(file.value, {"current-context"}));
  }
  if (context.empty())
    return invalid(path + ": current-context is not set; choose one with --context");
  const Named chosen = find_named(files, "contexts", "context", context);
  if (chosen.value == nullptr)
    return not_found(path + ": context \"" + context + "\" does not exist");

  const auto cluster_name = data::get_string(*chosen.value, {"cluster"});
  const Named cluster = find_named(files, "clusters", "cluster", cluster_name);
  if (cluster.value == nullptr) {
    return not_found(path + ": cluster \"" + std::string(cluster_name) + "\" does not exist");
  }
  ClientConfig config;
  config.server = std::string(data::get_string(*cluster.value, {"server"}));
  if (config.server.empty())
    return invalid(path + ": cluster \"" + std::string(cluster_name) + "\" has no server");
  config.is_insecure = data::get_bool(*cluster.value, {"insecure-skip-tls-verify"});
  config.tls_server_name = std::string(data::get_string(*cluster.value, {"tls-server-name"}));
  config.ca_pem = TRY(read_pem(cluster, "certificate-authority"));
  if (const auto ns = data::get_string(*chosen.value, {"namespace"}); !ns.empty())
    config.ns = std::string(ns);

  const Named user = find_named(files, "users", "user", data::get_string(*chosen.value, {"user"}));
  if (user.value != nullptr) TRY(read_user(user, config).at(path));
  return config;
}

}  // namespace lateen::kube
