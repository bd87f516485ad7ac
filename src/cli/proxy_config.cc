// Reads /config_dump (with endpoints) and /clusters; `-f FILE` takes a saved dump instead of a pod.
#include "cli/proxy_config.h"

#include <CLI/CLI.hpp>
#include <fstream>
#include <sstream>

#include "base/clock.h"
#include "base/strings.h"
#include "cli/pods.h"
#include "cli/table.h"
#include "data/yaml.h"
#include "kube/port_forward.h"
#include "tls/x509.h"

namespace lateen::cli {
namespace {

using data::Json;
using data::JsonArray;

constexpr int kAdminPort = 15000;

struct Flags {
  std::string pod, file, output = "short";
  std::string fqdn, direction, subset, address, type, name, cluster, status, level;
  int port = 0;
  bool is_verbose = true;
  bool is_reset = false;
};

Result<std::string> fetch(Context& context, const Flags& flags, const std::string& path,
                          const char* method = "GET") {
  if (!flags.file.empty()) {
    std::ifstream in(flags.file);
    if (!in && flags.file != "-") return not_found("cannot read " + flags.file);
    std::ostringstream text;
    if (flags.file == "-") text << std::cin.rdbuf();
    else text << in.rdbuf();
    return std::move(text).str();
  }
  if (flags.pod.empty())
    return invalid("name the pod ([<type>/]<name>[.<namespace>]) or a saved dump with -f");
  const kube::Key pod = TRY(resolve_pod(context, flags.pod));
  kube::Client* client = TRY(context.client());
  const auto forward = TRY(kube::PortForwarder::start(*client, pod, kAdminPort, 0));
  http::BlockingClient http;
  http::PlainRequest request;
  request.method = method;
  request.url = "http://127.0.0.1:" + std::to_string(forward->local_port()) + path;
  request.headers = {{"Connection", "close"}};
  auto answer =
      TRY(http.call(request).at("pod " + pod.to_string() + ": is there a proxy in it? admin port"));
  if (answer.status != 200)
    return unavailable("pod " + pod.to_string() + ": " + path + " answers " +
                       std::to_string(answer.status) + ": " + answer.body);
  return std::move(answer.body);
}

Result<Json> fetch_dump(Context& context, const Flags& flags) {
  return data::parse_json(TRY(fetch(context, flags, "/config_dump?include_eds"))).at("config dump");
}

// Bodies named `inner` of the lists of one section of the dump, active ones only.
JsonArray bodies(const Json& dump, std::string_view section,
                 std::initializer_list<std::string_view> lists, std::string_view inner) {
  JsonArray out;
  for (const Json& config : data::get_array(dump, {"configs"})) {
    if (!data::get_string(config, {"@type"}).ends_with(section)) continue;
    for (const auto list : lists) {
      for (const Json& item : data::get_array(config, {list})) {
        const Json* body = data::find(item, {inner});
        if (body == nullptr) body = data::find(item, {"active_state", inner});
        if (body != nullptr) out.push_back(*body);
      }
    }
  }
  return out;
}

// True when it was printed as JSON or YAML.
Result<bool> print_raw(Context& context, const Flags& flags, const Json& value) {
  if (flags.output == "json") context.out << data::dump_json_pretty(value, 4) << '\n';
  else if (flags.output == "yaml") context.out << data::dump_yaml(value);
  else if (flags.output == "short") return false;
  else
    return invalid("output format \"" + flags.output + "\" not supported; use short, json or yaml");
  return true;
}

// "outbound|9080|v1|reviews.default.svc.cluster.local"
struct ClusterName {
  std::string direction = "-", port = "-", subset = "-", fqdn;
};
ClusterName parse_cluster_name(std::string_view name) {
  const auto parts = split(name, '|');
  if (parts.size() != 4) return {"-", "-", "-", std::string(name)};
  return {std::string(parts[0]), std::string(parts[1]),
          parts[2].empty() ? "-" : std::string(parts[2]), std::string(parts[3])};
}

Result<int> print_clusters(Context& context, const Flags& flags) {
  const Json dump = TRY(fetch_dump(context, flags));
  JsonArray kept;
  Table table({"SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"});
  for (const Json& cluster : bodies(dump, "ClustersConfigDump",
                                    {"static_clusters", "dynamic_active_clusters"}, "cluster")) {
    const ClusterName name = parse_cluster_name(data::get_string(cluster, {"name"}));
    if (!flags.fqdn.empty() && name.fqdn != flags.fqdn) continue;
    if (!flags.direction.empty() && name.direction != flags.direction) continue;
    if (!flags.subset.empty() && name.subset != flags.subset) continue;
    if (flags.port != 0 && name.port != std::to_string(flags.port)) continue;
    kept.push_back(cluster);
    table.add({name.fqdn, name.port, name.subset, name.direction,
               std::string(data::get_string(cluster, {"type"}, "STATIC")),
               describe::managing_config(cluster)});
  }
  if (TRY(print_raw(context, flags, kept))) return 0;
  table.sort();
  table.print(context.out);
  return 0;
}

std::string address_of(const Json& listener) {
  return std::string(data::get_string(listener, {"address", "socket_address", "address"}));
}
std::int64_t port_of(const Json& listener) {
  return data::get_int(listener, {"address", "socket_address", "port_value"});
}

Result<int> print_listeners(Context& context, const Flags& flags) {
  const Json dump = TRY(fetch_dump(context, flags));
  std::vector<Json> kept;
  for (Json& listener :
       bodies(dump, "ListenersConfigDump", {"static_listeners", "dynamic_listeners"}, "listener")) {
    if (!flags.address.empty() && address_of(listener) != flags.address) continue;
    if (flags.port != 0 && port_of(listener) != flags.port) continue;
    if (!flags.type.empty() && !iequals(describe::listener_type(listener), flags.type)) continue;
    kept.push_back(std::move(listener));
  }
  std::stable_sort(kept.begin(), kept.end(), [](const Json& a, const Json& b) {
    return std::pair(port_of(a), address_of(a)) < std::pair(port_of(b), address_of(b));
  });
  if (TRY(print_raw(context, flags, JsonArray(kept.begin(), kept.end())))) return 0;
  Table table(flags.is_verbose
                  ? std::vector<std::string>{"ADDRESSES", "PORT", "MATCH", "DESTINATION"}
                  : std::vector<std::string>{"ADDRESSES", "PORT", "TYPE"},
              1);
  for (const Json& listener : kept) {
    const std::string port = std::to_string(port_of(listener));
    if (!flags.is_verbose) {
      table.add({address_of(listener), port, describe::listener_type(listener)});
      continue;
    }
    const auto add = [&](const Json& chain) {
      const Json* match = data::find(chain, {"filter_chain_match"});
      table.add({address_of(listener), port,
                 describe::chain_match(match != nullptr ? *match : Json(data::JsonObject())),
                 describe::destination(chain)});
    };
    for (const Json& chain : data::get_array(listener, {"filter_chains"})) add(chain);
    if (const auto* chain = data::find(listener, {"default_filter_chain"})) add(*chain);
  }
  table.print(context.out);
  return 0;
}

Result<int> print_routes(Context& context, const Flags& flags) {
  const Json dump = TRY(fetch_dump(context, flags));
  JsonArray kept;
  Table table({"NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"});
  for (const Json& config :
       bodies(dump, "RoutesConfigDump", {"static_route_configs", "dynamic_route_configs"},
              "route_config")) {
    const std::string name(data::get_string(config, {"name"}));
    if (!flags.name.empty() && name != flags.name) continue;
    kept.push_back(config);
    for (const Json& host : data::get_array(config, {"virtual_hosts"})) {
      const std::string host_name(data::get_string(host, {"name"})),
          domains = describe::domains(data::get_array(host, {"domains"}));
      const auto& routes = data::get_array(host, {"routes"});
      for (const Json& route : routes) {
        if (data::get_string(route, {"route", "cluster"}) == "PassthroughCluster") continue;
        const Json* match = data::find(route, {"match"});
        table.add({name, host_name, domains, match != nullptr ? describe::route_match(*match) : "",
                   describe::managing_config(route)});
      }
      if (routes.empty()) table.add({name, host_name, domains, "/*", "404"});
    }
  }
  if (TRY(print_raw(context, flags, kept))) return 0;
  table.print(context.out);
  return 0;
}

Result<int> print_endpoints(Context& context, const Flags& flags) {
  const Json clusters =
      TRY(data::parse_json(TRY(fetch(context, flags, "/clusters?format=json"))).at("clusters"));
  JsonArray kept;
  Table table({"ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"});
  for (const Json& cluster : data::get_array(clusters, {"cluster_statuses"})) {
    const std::string name(data::get_string(cluster, {"name"}));
    if (!flags.cluster.empty() && name != flags.cluster) continue;
    for (const Json& host : data::get_array(cluster, {"host_statuses"})) {
      std::string endpoint(data::get_string(host, {"address", "socket_address", "address"}));
      const auto port = data::get_int(host, {"address", "socket_address", "port_value"});
      if (endpoint.empty())
        endpoint = "unix://" + std::string(data::get_string(host, {"address", "pipe", "path"}));
      else endpoint += ":" + std::to_string(port);
      const std::string status(
          data::get_string(host, {"health_status", "eds_health_status"}, "HEALTHY"));
      if (flags.port != 0 && port != flags.port) continue;
      if (!flags.address.empty() && !endpoint.starts_with(flags.address + ":")) continue;
      if (!flags.status.empty() && !iequals(status, flags.status)) continue;
      kept.push_back(host);
      table.add({endpoint, status,
                 data::get_bool(host, {"health_status", "failed_outlier_check"}) ? "FAILED" : "OK",
                 name});
    }
  }
  if (TRY(print_raw(context, flags, kept))) return 0;
  table.sort();
  table.print(context.out);
  return 0;
}

Result<int> print_bootstrap(Context& context, const Flags& flags) {
  const Json dump = TRY(fetch_dump(context, flags));
  for (const Json& config : data::get_array(dump, {"configs"})) {
    if (!data::get_string(config, {"@type"}).ends_with("BootstrapConfigDump")) continue;
    if (flags.output == "yaml") context.out << data::dump_yaml(config);
    else context.out << data::dump_json_pretty(config, 4) << '\n';
    return 0;
  }
  return not_found("the dump holds no bootstrap");
}

std::string pem_in(const Json& source) {
  const auto text = data::get_string(source, {"inline_string"});
  if (!text.empty()) return std::string(text);
  auto bytes = base64_decode(data::get_string(source, {"inline_bytes"}));
  return bytes ? *std::move(bytes) : "";
}

Result<int> print_secrets(Context& context, const Flags& flags) {
  const Json dump = TRY(fetch_dump(context, flags));
  JsonArray kept;
  Table table({"RESOURCE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER",
               "NOT BEFORE"});
  const WallTime now = SystemClock().wall();
  for (const Json& config : data::get_array(dump, {"configs"})) {
    if (!data::get_string(config, {"@type"}).ends_with("SecretsConfigDump")) continue;
    for (const auto& [list, status] :
         {std::pair("dynamic_active_secrets", "ACTIVE"),
          std::pair("dynamic_warming_secrets", "WARMING"), std::pair("static_secrets", "ACTIVE")}) {
      for (const Json& item : data::get_array(config, {list})) {
        kept.push_back(item);
        const std::string name(data::get_string(item, {"name"}));
        const Json* chain = data::find(item, {"secret", "tls_certificate", "certificate_chain"});
        const Json* root = data::find(item, {"secret", "validation_context", "trusted_ca"});
        const Json* source = chain != nullptr ? chain : root;
        const auto info = source != nullptr ? tls::parse_certificate(pem_in(*source))
                                            : Result<tls::CertificateInfo>(not_found("none"));
        if (!info) {
          table.add({name, chain != nullptr ? "Cert Chain" : "CA", status, "false", "", "", ""});
          continue;
        }
        const bool is_valid = now >= info->not_before && now <= info->not_after;
        table.add({name, chain != nullptr ? "Cert Chain" : "CA", status,
                   is_valid ? "true" : "false", info->serial_hex, format_rfc3339(info->not_after),
                   format_rfc3339(info->not_before)});
      }
    }
  }
  if (TRY(print_raw(context, flags, kept))) return 0;
  if (table.empty()) context.out << "No secret items to show.\n";
  else table.print(context.out);
  return 0;
}

Result<int> change_log(Context& context, const Flags& flags) {
  std::string path = "/logging";
  std::string level = flags.is_reset ? "warning" : flags.level;
  if (!level.empty()) {
    // "scope:level,scope:level" sets each; a bare level sets all.
    path += level.find(':') == std::string::npos ? "?level=" + level
                                                 : "?paths=" + percent_encode(level);
  }
  context.out << TRY(fetch(context, flags, path, "POST"));
  return 0;
}

Result<int> print_all(Context& context, const Flags& flags) {
  if (flags.output != "short") {
    const Json dump = TRY(fetch_dump(context, flags));
    TRY(print_raw(context, flags, dump));
    return 0;
  }
  for (const auto print : {print_clusters, print_listeners, print_routes, print_secrets}) {
    TRY(print(context, flags));
    context.out << '\n';
  }
  return 0;
}

using Print = Result<int> (*)(Context&, const Flags&);

CLI::App* add_verb(CLI::App& parent, Context& context, const char* name, const char* alias,
                   const char* help, Print print, const std::shared_ptr<Flags>& flags) {
  auto* app = parent.add_subcommand(name, help)->alias(alias);
  app->add_option("pod", flags->pod, "[<type>/]<name>[.<namespace>]");
  app->add_option("-f,--file", flags->file, "config dump file");
  app->add_option("-o,--output", flags->output, "short, json or yaml");
  app->callback([&context, flags, print] {
    context.run = [&context, flags, print] { return print(context, *flags); };
  });
  return app;
}

}  // namespace

void add_proxy_config(CLI::App& root, Context& context) {
  auto* app = root.add_subcommand("proxy-config",
                                  "Retrieve information about proxy configuration from Envoy")
                  ->alias("pc");
  app->require_subcommand(1);
  auto flags = std::make_shared<Flags>();
  auto* clusters =
      add_verb(*app, context, "cluster", "c", "cluster configuration", print_clusters, flags);
  clusters->alias("clusters");
  clusters->add_option("--fqdn", flags->fqdn);
  clusters->add_option("--direction", flags->direction);
  clusters->add_option("--subset", flags->subset);
  clusters->add_option("--port", flags->port);
  auto* listeners =
      add_verb(*app, context, "listener", "l", "listener configuration", print_listeners, flags);
  listeners->alias("listeners");
  listeners->add_option("--address", flags->address);
  listeners->add_option("--port", flags->port);
  listeners->add_option("--type", flags->type);
  listeners->add_flag("--verbose,!--no-verbose", flags->is_verbose);
  auto* routes = add_verb(*app, context, "route", "r", "route configuration", print_routes, flags);
  routes->alias("routes");
  routes->add_option("--name", flags->name);
  auto* endpoints =
      add_verb(*app, context, "endpoint", "ep", "endpoint configuration", print_endpoints, flags);
  endpoints->alias("endpoints");
  endpoints->add_option("--cluster", flags->cluster);
  endpoints->add_option("--status", flags->status);
  endpoints->add_option("--address", flags->address);
  endpoints->add_option("--port", flags->port);
  add_verb(*app, context, "bootstrap", "b", "bootstrap configuration", print_bootstrap, flags);
  add_verb(*app, context, "secret", "s", "secret configuration", print_secrets, flags)
      ->alias("secrets");
  add_verb(*app, context, "all", "a", "all configuration", print_all, flags);
  auto* log = add_verb(*app, context, "log", "o", "logging levels", change_log, flags);
  log->add_option("--level", flags->level);
  log->add_flag("-r,--reset", flags->is_reset);
}

}  // namespace lateen::cli
