// proxy-config: what a proxy has loaded, from its admin port or from a file.
#include <map>

#include "base/strings.h"
#include "cli/istioctl.h"
#include "cli/proxy_admin.h"
#include "cli/proxy_tables.h"
#include "http/blocking_client.h"
#include "kube/port_forward.h"

namespace lateen::cli {
namespace {

struct Source {
  std::string pod;
  std::string file;
  std::string output = "short";
  int admin_port = kProxyAdminPort;

  void add_to(CLI::App& command) {
    command.add_option("pod", pod, "NAME[.NAMESPACE] or deployment/NAME");
    command.add_option("-f,--file", file, "A config dump file instead of a pod");
    command.add_option("-o,--output", output, "json, yaml or short")->capture_default_str();
    command.add_option("--proxy-admin-port", admin_port, "The proxy's admin port")
        ->capture_default_str();
  }
};

Result<Json> admin_json(Session& session, const Source& source, const std::string& path) {
  if (!source.file.empty())
    return data::parse_json(TRY(read_input(session, source.file))).at(source.file);
  if (source.pod.empty()) return invalid("proxy-config requires a pod name or --file parameter");
  const Json pod = TRY(find_pod(session, source.pod));
  return proxy_json(*TRY(session.client()), pod, source.admin_port, path);
}

template <typename Filter>
Result<> print_filtered(Session& session, const Source& source, std::vector<Json> all,
                        const Filter& filter) {
  data::JsonArray kept;
  for (Json& each : all) {
    if (filter.matches(each)) kept.push_back(camel_cased(each));
  }
  session.out << TRY(format_as(Json(std::move(kept)), source.output));
  return {};
}

Result<> print_section(Session& session, const Source& source, const Json& dump,
                       std::string_view type) {
  const Json* found = section(dump, type);
  if (found == nullptr) return not_found("the proxy's config dump has no " + std::string(type));
  session.out << TRY(
      format_as(camel_cased(*found), source.output == "short" ? "json" : source.output));
  return {};
}

void add_clusters(CLI::App& group, Session& session) {
  auto* command =
      group
          .add_subcommand("cluster",
                          "Retrieves cluster configuration for the Envoy in the specified pod")
          ->alias("clusters")
          ->alias("c");
  auto source = std::make_shared<Source>();
  auto filter = std::make_shared<ClusterFilter>();
  source->add_to(*command);
  command->add_option("--fqdn", filter->fqdn, "Only this service");
  command->add_option("--direction", filter->direction, "inbound or outbound");
  command->add_option("--subset", filter->subset, "Only this subset");
  command->add_option("--port", filter->port, "Only this port");
  on_run(*command, session, [&session, source, filter]() -> Result<> {
    const Json dump = TRY(admin_json(session, *source, "/config_dump"));
    if (source->output != "short")
      return print_filtered(session, *source, clusters_in(dump), *filter);
    session.out << cluster_table(dump, *filter);
    return {};
  });
}

void add_listeners(CLI::App& group, Session& session) {
  auto* command =
      group
          .add_subcommand("listener",
                          "Retrieves listener configuration for the Envoy in the specified pod")
          ->alias("listeners")
          ->alias("l");
  auto source = std::make_shared<Source>();
  auto filter = std::make_shared<ListenerFilter>();
  source->add_to(*command);
  command->add_option("--address", filter->address, "Only this address");
  command->add_option("--port", filter->port, "Only this port");
  command->add_option("--type", filter->type, "HTTP, TCP or HTTP+TCP");
  command->add_flag("--verbose,!--no-verbose", filter->is_verbose, "A row for each filter chain");
  on_run(*command, session, [&session, source, filter]() -> Result<> {
    const Json dump = TRY(admin_json(session, *source, "/config_dump"));
    if (source->output != "short")
      return print_filtered(session, *source, listeners_in(dump), *filter);
    session.out << listener_table(dump, *filter);
    return {};
  });
}

void add_routes(CLI::App& group, Session& session) {
  auto* command =
      group
          .add_subcommand("route",
                          "Retrieves route configuration for the Envoy in the specified pod")
          ->alias("routes")
          ->alias("r");
  auto source = std::make_shared<Source>();
  auto filter = std::make_shared<RouteFilter>();
  source->add_to(*command);
  command->add_option("--name", filter->name, "Only this route configuration");
  command->add_flag("--verbose,!--no-verbose", filter->is_verbose, "A row for each route");
  on_run(*command, session, [&session, source, filter]() -> Result<> {
    const Json dump = TRY(admin_json(session, *source, "/config_dump"));
    if (source->output != "short")
      return print_filtered(session, *source, routes_in(dump), *filter);
    session.out << route_table(dump, *filter);
    return {};
  });
}

void add_endpoints(CLI::App& group, Session& session) {
  auto* command =
      group
          .add_subcommand("endpoint",
                          "Retrieves endpoint configuration for the Envoy in the specified pod")
          ->alias("endpoints")
          ->alias("ep");
  auto source = std::make_shared<Source>();
  auto filter = std::make_shared<EndpointFilter>();
  source->add_to(*command);
  command->add_option("--address", filter->address, "Only this address");
  command->add_option("--port", filter->port, "Only this port");
  command->add_option("--cluster", filter->cluster, "Only this cluster");
  command->add_option("--status", filter->status, "Only this health status");
  on_run(*command, session, [&session, source, filter]() -> Result<> {
    const Json clusters = TRY(admin_json(session, *source, "/clusters?format=json"));
    if (source->output == "short") {
      session.out << endpoint_table(clusters, *filter);
      return {};
    }
    data::JsonArray kept;
    for (const Json& cluster : list_at(clusters, {"cluster_statuses"})) {
      for (const Json& host : list_at(cluster, {"host_statuses"})) {
        if (!filter->matches(host, text_at(cluster, {"name"}))) continue;
        kept.push_back(camel_cased(cluster));
        break;
      }
    }
    session.out << TRY(format_as(Json(std::move(kept)), source->output));
    return {};
  });
}

struct AllFlags {
  Source source;
  ClusterFilter clusters;
  ListenerFilter listeners;
  RouteFilter routes;
  EndpointFilter endpoints;
  bool has_headers = false;

  void add_to(CLI::App& command) {
    command.add_option("--fqdn", clusters.fqdn, "Only clusters of this service");
    command.add_option("--direction", clusters.direction, "Only clusters, inbound or outbound");
    command.add_option("--subset", clusters.subset, "Only clusters of this subset");
    command.add_option("--port", clusters.port, "Only clusters, listeners, endpoints of this port");
    command.add_option("--address", listeners.address,
                       "Only listeners and endpoints of this address");
    command.add_option("--type", listeners.type, "Only listeners of this type");
    command.add_option("--name", routes.name, "Only this route configuration");
    command.add_flag("--verbose,!--no-verbose", listeners.is_verbose, "Output more information");
    command.add_flag("--with-headers", has_headers, "Print summary with headers");
  }
};

Result<> print_all(Session& session, AllFlags flags) {
  const Json dump = TRY(admin_json(session, flags.source, "/config_dump?include_eds"));
  if (flags.source.output != "short") {
    session.out << TRY(format_as(camel_cased(dump), flags.source.output));
    return {};
  }
  flags.listeners.port = flags.endpoints.port = flags.clusters.port;
  flags.endpoints.address = flags.listeners.address;
  flags.routes.is_verbose = flags.listeners.is_verbose;
  const auto title = [&](const char* text) {
    if (flags.has_headers) session.out << "------ " << text << " ------\n\n";
  };
  title("BOOTSTRAP INFO");
  session.out << bootstrap_table(dump) << "\n";
  title("CLUSTER INFO");
  session.out << cluster_table(dump, flags.clusters) << "\n";
  title("LISTENER INFO");
  session.out << listener_table(dump, flags.listeners) << "\n";
  title("ROUTE INFO");
  session.out << route_table(dump, flags.routes) << "\n";
  title("SECRET INFO");
  session.out << secret_table(dump);
  if (!flags.source.file.empty()) return {};
  session.out << "\n";
  title("ENDPOINTS INFO");
  session.out << endpoint_table(TRY(admin_json(session, flags.source, "/clusters?format=json")),
                                flags.endpoints);
  return {};
}

void add_dumps(CLI::App& group, Session& session) {
  auto* bootstrap =
      group
          .add_subcommand("bootstrap",
                          "Retrieves bootstrap configuration for the Envoy in the specified pod")
          ->alias("b");
  auto for_bootstrap = std::make_shared<Source>();
  for_bootstrap->output = "json";
  for_bootstrap->add_to(*bootstrap);
  on_run(*bootstrap, session, [&session, for_bootstrap]() -> Result<> {
    const Json dump = TRY(admin_json(session, *for_bootstrap, "/config_dump"));
    if (for_bootstrap->output != "short")
      return print_section(session, *for_bootstrap, dump, "BootstrapConfigDump");
    session.out << bootstrap_table(dump);
    return {};
  });

  auto* secret =
      group
          .add_subcommand("secret",
                          "Retrieves secret configuration for the Envoy in the specified pod")
          ->alias("secrets")
          ->alias("s");
  auto for_secret = std::make_shared<Source>();
  for_secret->add_to(*secret);
  on_run(*secret, session, [&session, for_secret]() -> Result<> {
    const Json dump = TRY(admin_json(session, *for_secret, "/config_dump"));
    if (for_secret->output != "short")
      return print_section(session, *for_secret, dump, "SecretsConfigDump");
    session.out << secret_table(dump);
    return {};
  });

  auto* all =
      group.add_subcommand("all", "Retrieves all configuration for the Envoy in the specified pod")
          ->alias("a");
  auto flags = std::make_shared<AllFlags>();
  flags->source.add_to(*all);
  flags->add_to(*all);
  on_run(*all, session, [&session, flags] { return print_all(session, *flags); });
}

struct LogFlags {
  std::string pod, selector;
  std::string level;
  bool is_reset = false;
  int admin_port = kProxyAdminPort;
};

Result<> change_log(Session& session, const LogFlags& flags, const Json& pod) {
  kube::Client* client = TRY(session.client());
  auto forward = TRY(kube::PortForwarder::start(*client, kube::key_of(pod), flags.admin_port, 0));
  http::BlockingClient http;
  const auto post = [&](const std::string& query) -> Result<std::string> {
    http::PlainRequest request;
    request.method = "POST";
    request.url = "http://127.0.0.1:" + std::to_string(forward->local_port()) + "/logging" + query;
    const auto reply = TRY(http.call(request).at("proxy of pod " + kube::key_of(pod).to_string()));
    if (reply.status != 200)
      return invalid("the proxy refused " + query + ": " + std::string(trim(reply.body)));
    return reply.body;
  };
  std::string answer;
  if (flags.is_reset) answer = TRY(post("?level=warning"));
  for (const auto each : split(flags.level, ',')) {
    if (trim(each).empty()) continue;
    const auto pair = split_once(each, ":");
    answer = TRY(post(pair ? "?" + std::string(pair->first) + "=" + std::string(pair->second)
                           : "?level=" + std::string(each)));
  }
  if (answer.empty()) answer = TRY(post(""));
  session.out << kube::name_of(pod) << "." << kube::namespace_of(pod) << ":\n" << answer;
  return {};
}

Result<> change_logs(Session& session, const LogFlags& flags) {
  if (flags.is_reset && !flags.level.empty())
    return invalid("--level cannot be combined with --reset");
  for (const Json& pod : TRY(find_pods(session, flags.pod, flags.selector, "log")))
    TRY(change_log(session, flags, pod));
  return {};
}

}  // namespace

void add_proxy_config_commands(CLI::App& app, Session& session) {
  auto* group = app.add_subcommand("proxy-config",
                                   "Retrieve information about proxy configuration from Envoy")
                    ->alias("pc");
  group->require_subcommand(1);
  add_clusters(*group, session);
  add_listeners(*group, session);
  add_routes(*group, session);
  add_endpoints(*group, session);
  add_dumps(*group, session);
  add_proxy_config_dumps(*group, session);
  auto* log =
      group
          ->add_subcommand("log",
                           "Retrieves or changes logging levels of the Envoy in the specified pod")
          ->alias("o");
  auto flags = std::make_shared<LogFlags>();
  log->add_option("pod", flags->pod, "NAME[.NAMESPACE] or deployment/NAME");
  log->add_option("-l,--selector", flags->selector, "Label selector");
  log->add_option("--level", flags->level, "LEVEL or LOGGER:LEVEL, comma-separated");
  log->add_flag("-r,--reset", flags->is_reset, "Back to the default level");
  log->add_option("--proxy-admin-port", flags->admin_port, "The proxy's admin port")
      ->capture_default_str();
  on_run(*log, session, [&session, flags] { return change_logs(session, *flags); });
}

}  // namespace lateen::cli
