// Asks every istiod for /debug/syncz on its monitoring port through a port-forward: istiod trusts
// callers from its own pod.
#include "cli/proxy_status.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/pods.h"
#include "cli/table.h"
#include "data/yaml.h"
#include "kube/port_forward.h"

namespace lateen::cli {
namespace {

constexpr int kMonitoringPort = 15014;
constexpr int kAdminPort = 15000;

std::string state_of(const data::Json& entry, const std::string& type) {
  const auto sent = data::get_string(entry, {type + "_sent"});
  const auto acked = data::get_string(entry, {type + "_acked"});
  if (sent.empty()) return "NOT SENT";
  if (sent == acked) return "SYNCED";
  return acked.empty() ? "STALE (Never Acknowledged)" : "STALE";
}

struct Collected {
  std::vector<ProxySync> rows;
  data::JsonArray raw;
};

Result<Collected> collect(Context& context, const std::string& revision) {
  Collected out;
  kube::Client* client = TRY(context.client());
  for (const auto& pod : TRY(istiod_pods(context, revision))) {
    const auto answer = TRY(kube::pod_get(*client, pod, kMonitoringPort, "/debug/syncz"));
    if (answer.status != 200)
      return unavailable("istiod " + pod.name + " answers " + std::to_string(answer.status) +
                         " to /debug/syncz: " + answer.body);
    const data::Json list = TRY(data::parse_json(answer.body).at("istiod " + pod.name));
    for (const auto& entry : data::get_array(list, {})) {
      ProxySync row = read_sync(entry, pod.name);
      if (!context.ns.empty() && !row.proxy.ends_with("." + context.ns)) continue;
      out.raw.push_back(entry);
      out.rows.push_back(std::move(row));
    }
  }
  std::sort(out.rows.begin(), out.rows.end(),
            [](const auto& a, const auto& b) { return a.proxy < b.proxy; });
  return out;
}

Result<int> print_all(Context& context, const std::string& revision, const std::string& format) {
  const Collected all = TRY(collect(context, revision));
  if (format == "json") {
    context.out << data::dump_json_pretty(all.raw, 4) << '\n';
    return 0;
  }
  if (format == "yaml") {
    context.out << data::dump_yaml(all.raw);
    return 0;
  }
  if (format != "table")
    return invalid("output format \"" + format + "\" not supported; use table, json or yaml");
  Table table({"NAME", "CLUSTER", "CDS", "LDS", "EDS", "RDS", "ECDS", "ISTIOD", "VERSION"});
  for (const auto& row : all.rows)
    table.add({row.proxy, row.cluster, row.cds, row.lds, row.eds, row.rds, row.ecds, row.istiod,
               row.version});
  table.print(context.out);
  return 0;
}

// The configs of one type in a config dump, by name, without versions and times.
data::JsonObject configs_of(const data::Json& dump, std::string_view section,
                            std::initializer_list<std::string_view> lists, std::string_view inner) {
  data::JsonObject out;
  for (const auto& config : data::get_array(dump, {"configs"})) {
    if (data::get_string(config, {"@type"}).find(section) == std::string_view::npos) continue;
    for (const auto list : lists) {
      for (const auto& item : data::get_array(config, {list})) {
        const auto* body = data::find(item, {inner});
        if (body == nullptr) body = data::find(item, {"active_state", inner});
        if (body != nullptr) out[data::get_string(*body, {"name"})] = *body;
      }
    }
  }
  return out;
}

void compare(Context& context, const char* what, const data::JsonObject& sent,
             const data::JsonObject& loaded) {
  std::vector<std::string> differing;
  for (const auto& member : sent) {
    const auto* twin = loaded.if_contains(member.key());
    if (twin == nullptr)
      differing.push_back(std::string(member.key()) + " (not loaded by the proxy)");
    else if (!data::equal(member.value(), *twin)) differing.emplace_back(member.key());
  }
  for (const auto& member : loaded) {
    if (!sent.contains(member.key()))
      differing.push_back(std::string(member.key()) + " (not sent by istiod)");
  }
  context.out << what << (differing.empty() ? " Match\n" : " Don't Match\n");
  for (const auto& name : differing) context.out << "  " << name << '\n';
}

Result<data::Json> dump_of(kube::Client& client, const kube::Key& pod, int port,
                           const std::string& path) {
  const auto answer = TRY(kube::pod_get(client, pod, port, path));
  if (answer.status != 200)
    return unavailable("pod " + pod.to_string() + " answers " + std::to_string(answer.status) +
                       " to " + path + ": " + answer.body);
  return data::parse_json(answer.body).at("pod " + pod.to_string() + " " + path);
}

Result<int> print_one(Context& context, const std::string& what, const std::string& revision) {
  const kube::Key pod = TRY(resolve_pod(context, what));
  kube::Client* client = TRY(context.client());
  const data::Json loaded = TRY(dump_of(*client, pod, kAdminPort, "/config_dump"));
  std::string last = "no istiod";
  for (const auto& istiod : TRY(istiod_pods(context, revision))) {
    const auto sent = dump_of(*client, istiod, kMonitoringPort,
                              "/debug/config_dump?proxyID=" + pod.name + "." + pod.ns);
    if (!sent) {
      last = sent.error().message();
      continue;  // It is another istiod's proxy.
    }
    compare(context, "Clusters",
            configs_of(*sent, "ClustersConfigDump", {"dynamic_active_clusters"}, "cluster"),
            configs_of(loaded, "ClustersConfigDump", {"dynamic_active_clusters"}, "cluster"));
    compare(context, "Listeners",
            configs_of(*sent, "ListenersConfigDump", {"dynamic_listeners"}, "listener"),
            configs_of(loaded, "ListenersConfigDump", {"dynamic_listeners"}, "listener"));
    compare(context, "Routes",
            configs_of(*sent, "RoutesConfigDump", {"dynamic_route_configs"}, "route_config"),
            configs_of(loaded, "RoutesConfigDump", {"dynamic_route_configs"}, "route_config"));
    return 0;
  }
  return not_found("no istiod serves proxy " + pod.to_string() + ": " + last);
}

}  // namespace

ProxySync read_sync(const data::Json& entry, const std::string& istiod) {
  ProxySync row;
  row.proxy = data::get_string(entry, {"proxy"});
  // A full node id or the short form; the table shows the short one.
  if (const auto first = row.proxy.find('~'); first != std::string::npos) {
    const auto second = row.proxy.find('~', first + 1), third = row.proxy.find('~', second + 1);
    if (third != std::string::npos) row.proxy = row.proxy.substr(second + 1, third - second - 1);
  }
  row.cluster = data::get_string(entry, {"cluster_id"}, "Kubernetes");
  row.cds = state_of(entry, "cluster");
  row.lds = state_of(entry, "listener");
  row.eds = state_of(entry, "endpoint");
  row.rds = state_of(entry, "route");
  row.ecds = state_of(entry, "extensionconfig");
  row.istiod = istiod;
  row.version = data::get_string(entry, {"istio_version"});
  return row;
}

void add_proxy_status(CLI::App& root, Context& context) {
  auto* app = root.add_subcommand("proxy-status",
                                  "Retrieves the synchronization status of each Envoy in the mesh")
                  ->alias("ps");
  struct Flags {
    std::string pod, revision, format = "table", ignored;
  };
  auto flags = std::make_shared<Flags>();
  app->add_option("pod", flags->pod, "[<type>/]<name>[.<namespace>]");
  app->add_option("-r,--revision", flags->revision, "control plane revision");
  app->add_option("-o,--output", flags->format, "table, json or yaml");
  app->add_option("--xds-address", flags->ignored);
  app->add_option("-v,--verbosity", flags->ignored);
  app->callback([&context, flags] {
    context.run = [&context, flags]() -> Result<int> {
      return flags->pod.empty() ? print_all(context, flags->revision, flags->format)
                                : print_one(context, flags->pod, flags->revision);
    };
  });
}

}  // namespace lateen::cli
