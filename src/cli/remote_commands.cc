// create-remote-secret and remote-clusters: what one cluster's control plane needs to read another
// cluster, and which clusters it reads.
#include <chrono>
#include <map>
#include <thread>

#include "base/strings.h"
#include "cli/control_plane.h"
#include "cli/istioctl.h"
#include "data/yaml.h"
#include "install/manifest.h"
#include "kube/names.h"

namespace lateen::cli {
namespace {

constexpr std::string_view kTokenType = "kubernetes.io/service-account-token";
constexpr std::string_view kAccountAnnotation = "kubernetes.io/service-account.name";
constexpr int kTokenTries = 10;

struct Flags {
  std::string name, account, server, tls_server_name, secret_name, auth_type = "bearer-token";
  std::string plugin_name, type = "remote", manifests;
  std::vector<std::string> plugin_config;
  bool creates_account = true;
};

bool is_token_of(const Json& secret, const std::string& account) {
  return data::get_string(secret, {"type"}) == kTokenType &&
         kube::annotation(secret, kAccountAnnotation) == account;
}

// The reader's account and rights, as the charts have them.
Result<> create_account(Session& session, const Flags& flags, const std::string& ns) {
  kube::Client* client = TRY(session.client());
  install::Charts charts(flags.manifests);
  Json iop = TRY(
      data::parse_json(R"({"apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator"})"));
  data::set(iop, {"spec", "namespace"}, Json(ns));
  data::set(iop, {"spec", "values", "global", "istioNamespace"}, Json(ns));
  const install::Plan plan = TRY(install::make_plan(charts, iop));
  if (!client->get(kube::resources::namespaces(), {"", ns})) {
    TRY(client->create(kube::resources::namespaces(),
                       data::JsonObject{{"apiVersion", "v1"},
                                        {"kind", "Namespace"},
                                        {"metadata", data::JsonObject{{"name", ns}}}}));
  }
  for (const auto& manifest : TRY(install::render(charts, plan))) {
    for (const Json& object : manifest.objects) {
      const auto kind = kube::kind_of(object), name = kube::name_of(object);
      const bool is_right = (kind == "ClusterRole" || kind == "ClusterRoleBinding") &&
                            name.starts_with("istio-reader-clusterrole");
      const bool is_account = kind == "ServiceAccount" && name == "istio-reader-service-account";
      if (!is_right && !is_account) continue;
      const auto resource = TRY(client->resource_for(kube::api_version_of(object), kind));
      kube::PatchOptions options;
      options.field_manager = "istioctl";
      options.is_forced = true;
      TRY(client->apply(resource, object, options));
    }
  }
  return {};
}

Result<Json> find_account(Session& session, const Flags& flags, const std::string& ns) {
  kube::Client* client = TRY(session.client());
  const kube::Key key{ns, flags.account};
  auto found = client->get(kube::resources::service_accounts(), key);
  if (found) return found;
  if (!flags.creates_account) {
    return not_found("failed retrieving service account " + flags.account + "." + ns +
                     " required for creating the remote secret (hint: try installing a minimal "
                     "Istio profile on the cluster "
                     "first, or run with '--create-service-account=true'): " +
                     found.error().message());
  }
  TRY(create_account(session, flags, ns));
  return client->get(kube::resources::service_accounts(), key)
      .at("failed retrieving service account " + flags.account + "." + ns + " after creating it");
}

// The account's token secret with its token in it; made when there is none.
Result<Json> token_secret(Session& session, const Flags& flags, const std::string& ns) {
  kube::Client* client = TRY(session.client());
  TRY(find_account(session, flags, ns));
  kube::Key key{ns, flags.secret_name};
  if (!flags.secret_name.empty()) {
    const Json secret = TRY(client->get(kube::resources::secrets(), key)
                                .at("could not get specified secret " + key.to_string()));
    if (!is_token_of(secret, flags.account))
      return invalid("secret " + key.to_string() + " does not reference ServiceAccount " +
                     flags.account);
  } else {
    const Json all =
        TRY(client->list(kube::resources::secrets(), ns).at("failed listing secrets in " + ns));
    for (const Json& secret : data::get_array(all, {"items"})) {
      if (key.name.empty() && is_token_of(secret, flags.account)) key.name = kube::name_of(secret);
    }
    if (key.name.empty()) {
      key.name = flags.account + "-istio-remote-secret-token";
      TRY(client->create(
          kube::resources::secrets(),
          data::JsonObject{
              {"apiVersion", "v1"},
              {"kind", "Secret"},
              {"metadata", data::JsonObject{{"name", key.name},
                                            {"namespace", ns},
                                            {"annotations", data::JsonObject{{kAccountAnnotation,
                                                                              flags.account}}}}},
              {"type", kTokenType}}));
    }
  }
  for (int i = 0; i < kTokenTries; ++i) {
    Json secret = TRY(client->get(kube::resources::secrets(), key));
    if (!data::get_string(secret, {"data", "ca.crt"}).empty() &&
        !data::get_string(secret, {"data", "token"}).empty())
      return secret;
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }
  return unavailable("no \"token\" data found in secret " + key.to_string() +
                     ": does a token controller run?");
}

Result<std::string> kubeconfig_of(const Flags& flags, const Json& secret,
                                  const std::string& server) {
  data::JsonObject cluster{
      {"certificate-authority-data", data::get_string(secret, {"data", "ca.crt"})},
      {"server", server}};
  if (!flags.tls_server_name.empty()) cluster["tls-server-name"] = flags.tls_server_name;
  data::JsonObject user;
  if (flags.auth_type == "bearer-token") {
    user["token"] = TRY(base64_decode(data::get_string(secret, {"data", "token"})));
  } else if (flags.auth_type == "plugin") {
    data::JsonObject config;
    for (const std::string& each : flags.plugin_config) {
      const auto pair = split_once(each, "=");
      if (!pair) return invalid("--auth-plugin-config takes KEY=VALUE, not \"" + each + "\"");
      config[pair->first] = pair->second;
    }
    user["auth-provider"] =
        data::JsonObject{{"config", std::move(config)}, {"name", flags.plugin_name}};
  } else {
    return invalid("unsupported authentication type: " + flags.auth_type);
  }
  return data::dump_yaml(data::JsonObject{
      {"apiVersion", "v1"},
      {"clusters",
       data::JsonArray{data::JsonObject{{"cluster", std::move(cluster)}, {"name", flags.name}}}},
      {"contexts", data::JsonArray{data::JsonObject{
                       {"context", data::JsonObject{{"cluster", flags.name}, {"user", flags.name}}},
                       {"name", flags.name}}}},
      {"current-context", flags.name},
      {"kind", "Config"},
      {"preferences", data::JsonObject()},
      {"users",
       data::JsonArray{data::JsonObject{{"name", flags.name}, {"user", std::move(user)}}}}});
}

Result<> create_remote_secret(Session& session, Flags flags) {
  if (!flags.name.empty() && !kube::check_dns1123_label(flags.name).empty())
    return invalid(flags.name + " is not a valid DNS 1123 label");
  if (flags.type != "remote" && flags.type != "config")
    return invalid("unsupported type: " + flags.type);
  kube::Client* client = TRY(session.client());
  const std::string ns = session.ns.empty() ? session.istio_ns : session.ns;
  if (flags.name.empty())
    flags.name = kube::uid_of(TRY(client->get(kube::resources::namespaces(), {"", "kube-system"})));
  const bool is_remote = flags.type == "remote";
  if (flags.account.empty()) flags.account = is_remote ? "istio-reader-service-account" : "istiod";
  const Json secret =
      TRY(token_secret(session, flags, ns)
              .at("could not get access token to read resources from local kube-apiserver"));
  std::string server = flags.server;
  if (server.empty()) {
    server = TRY(kube::load_kubeconfig(session.kubeconfig, session.context)).server;
    if (server.find("127.0.0.1") != std::string::npos ||
        server.find("localhost") != std::string::npos) {
      session.err << "warn: server in Kubeconfig is " << server
                  << ". This is likely not reachable from inside the cluster, if you're using "
                     "Kubernetes in Docker, pass --server "
                     "with the container IP for the API Server\n";
    }
  }
  const std::string text = TRY(kubeconfig_of(flags, secret, server));
  session.out << "# This file is autogenerated, do not edit.\n"
              << data::dump_yaml(data::JsonObject{
                     {"apiVersion", "v1"},
                     {"kind", "Secret"},
                     {"metadata",
                      data::JsonObject{
                          {"annotations",
                           data::JsonObject{{"networking.istio.io/cluster", flags.name}}},
                          {"labels", data::JsonObject{{"istio/multiCluster", "true"}}},
                          {"name", is_remote ? "istio-remote-secret-" + flags.name
                                             : std::string("istio-kubeconfig")},
                          {"namespace", ns}}},
                     {"stringData",
                      data::JsonObject{{is_remote ? flags.name : std::string("config"), text}}}})
              << "---\n";
  return {};
}

Result<> list_clusters(Session& session, const std::string& revision) {
  std::map<std::string, std::vector<std::vector<std::string>>> by_istiod;
  for (const IstiodAnswer& each : TRY(ask_istiods(session, "/debug/clusterz", revision))) {
    const Json parsed = TRY(data::parse_json(each.body).at("istiod " + each.pod));
    const auto* list = parsed.if_array();
    for (const Json& cluster : list == nullptr ? data::JsonArray() : *list) {
      by_istiod[each.pod].push_back({std::string(data::get_string(cluster, {"id"})),
                                     std::string(data::get_string(cluster, {"secretName"})),
                                     std::string(data::get_string(cluster, {"syncStatus"})),
                                     each.pod, each.revision});
    }
  }
  std::vector<std::vector<std::string>> rows = {{"NAME", "SECRET", "STATUS", "ISTIOD", "REVISION"}};
  for (const auto& [istiod, of_it] : by_istiod) rows.insert(rows.end(), of_it.begin(), of_it.end());
  session.out << format_table(rows);
  return {};
}

}  // namespace

void add_remote_commands(CLI::App& app, Session& session) {
  auto* create = app.add_subcommand(
      "create-remote-secret",
      "Create a secret with credentials to allow Istio to access remote Kubernetes apiservers");
  auto flags = std::make_shared<Flags>();
  create->add_option("--name", flags->name, "Name of the local cluster; else kube-system's UID");
  create->add_option("--service-account", flags->account,
                     "The account whose credentials are given away");
  create->add_flag("--create-service-account,!--no-create-service-account", flags->creates_account,
                   "Make the account when it is missing; --create-service-account=false: do not");
  create->add_option("--server", flags->server,
                     "The address and port of the Kubernetes API server.");
  create->add_option("--tls-server-name", flags->tls_server_name,
                     "The name that the API server's certificate must have");
  create->add_option("--secret-name", flags->secret_name,
                     "The token secret to take, when the account has several");
  create->add_option("--auth-type", flags->auth_type, "bearer-token or plugin")
      ->capture_default_str();
  create->add_option("--auth-plugin-name", flags->plugin_name, "With --auth-type=plugin");
  create
      ->add_option("--auth-plugin-config", flags->plugin_config,
                   "KEY=VALUE,… with --auth-type=plugin")
      ->delimiter(',');
  create->add_option("--type", flags->type, "remote or config")->capture_default_str();
  create->add_option("-d,--manifests", flags->manifests, "A directory of charts and profiles");
  on_run(*create, session, [&session, flags] { return create_remote_secret(session, *flags); });

  auto* clusters = app.add_subcommand(
      "remote-clusters", "Lists the remote clusters each istiod instance is connected to.");
  auto revision = std::make_shared<std::string>();
  clusters->add_option("-r,--revision", *revision, "Control plane revision");
  on_run(*clusters, session, [&session, revision] { return list_clusters(session, *revision); });
}

}  // namespace lateen::cli
